use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{AccountId, Error, Pos, Reason, RecordRow, RepoId, Result, Snapshot, SnapshotItem, Snapshots, Sweep};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::sync::{mpsc, oneshot};

use super::Postgres;
use super::firehose::event;
use crate::attend::Attended;
use crate::decode;
use crate::error::failed;
use crate::shared::take_as_long_as_it_takes;
use crate::types::{Columns as _, corrupt};

/// Items that are read ahead of who consumes them.
const AHEAD: usize = 64;

/// A part of a snapshot: the statement, in the order of its keys, and what a row of it is.
type Part = (&'static str, fn(&PgRow) -> Result<SnapshotItem>);

const PARTS: &[Part] = &[
    (include_str!("../../sql/snapshot_accounts.sql"), |row| decode::account(row).map(SnapshotItem::Account)),
    (include_str!("../../sql/snapshot_repos.sql"), |row| {
        let id = RepoId(row.number(0)?);
        Ok(SnapshotItem::Repo(decode::repo(row, id, row.name(1)?, 2)?))
    }),
    (include_str!("../../sql/snapshot_blocks.sql"), block),
    (include_str!("../../sql/snapshot_records.sql"), |row| {
        let (blobs, links) = decode::mentions(row.optional_text(4)?)?;
        let record = RecordRow { cid: row.cid(2)?, pos: row.pos(3)?, blobs, links };
        Ok(SnapshotItem::Record(RepoId(row.number(0)?), row.name(1)?, record))
    }),
    (include_str!("../../sql/snapshot_commits.sql"), |row| {
        let (rev, commit) = decode::commit(row, 1)?;
        Ok(SnapshotItem::Commit(RepoId(row.number(0)?), rev, commit))
    }),
    (include_str!("../../sql/snapshot_blobs.sql"), |row| {
        Ok(SnapshotItem::Blob(AccountId(row.number(0)?), decode::blob(row, 1)?))
    }),
    (include_str!("../../sql/snapshot_rows.sql"), |row| decode::row(row).map(SnapshotItem::Row)),
    (include_str!("../../sql/snapshot_receipts.sql"), |row| {
        let (did, key, receipt) = decode::receipt(row, 0)?;
        Ok(SnapshotItem::Receipt(did, key, receipt))
    }),
    (include_str!("../../sql/snapshot_sweeps.sql"), |row| {
        let sweep = match row.number(0)? {
            1 => Sweep::Repo(RepoId(row.number(1)?)),
            2 => Sweep::Blobs(AccountId(row.number(1)?)),
            _ => Sweep::Purge(RepoId(row.number(1)?), row.pos(2)?),
        };
        Ok(SnapshotItem::Sweep(sweep, row.time(3)?))
    }),
    (include_str!("../../sql/snapshot_events.sql"), |row| event(row, 0).map(SnapshotItem::Event)),
];

fn block(row: &PgRow) -> Result<SnapshotItem> {
    let (repo, cid, bytes) = (RepoId(row.number(0)?), row.cid(1)?, row.bytes(4)?);
    if !cid.matches(bytes) {
        return Err(corrupt(format!("the bytes of block {cid} of repo generation {repo} hash to another CID")));
    }
    let bytes = Bytes::copy_from_slice(bytes);
    Ok(SnapshotItem::Block { repo, cid, refs: row.number(2)?, released: row.pos(3)?, bytes })
}

#[async_trait]
impl Snapshots for Postgres {
    /// One transaction that sees one state, on a connection of its own, read as fast as it is consumed.
    async fn snapshot(&self) -> Result<Snapshot> {
        self.shared.is_open()?;
        let (begun, position) = oneshot::channel();
        let (items, consumer) = mpsc::channel(AHEAD);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let ended = async {
                let (attended, mut connection) = shared.connect_to_read().await.map_err(|e| failed("connect", &e))?;
                read(&attended, &mut connection, begun, &items).await
            };
            if let Err(e) = ended.await {
                // Nobody listens: it was dropped.
                let _ = items.send(Err(e)).await;
            }
        });
        let stream = |consumer| {
            futures::stream::unfold(consumer, |mut consumer: mpsc::Receiver<_>| async {
                consumer.recv().await.map(|item| (item, consumer))
            })
        };
        let mut consumer = consumer;
        match position.await {
            Ok(pos) => Ok(Snapshot { pos, items: stream(consumer).boxed() }),
            // It failed before it began; the reason was sent in place of an item.
            Err(_) => match consumer.recv().await {
                Some(Err(e)) => Err(e),
                _ => Err(Error::new(Reason::ReadFailed, "database: a snapshot ended before it began")),
            },
        }
    }
}

async fn read(
    attended: &Attended,
    connection: &mut PgConnection,
    begun: oneshot::Sender<Pos>,
    items: &mpsc::Sender<Result<SnapshotItem>>,
) -> Result<()> {
    let fail = |e| failed("read a snapshot", &e);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    let mut transaction = attended.during(connection.begin_with(begin)).await.map_err(fail)?;
    attended.during(take_as_long_as_it_takes(&mut transaction)).await.map_err(fail)?;
    let asked = sqlx::query("SELECT pos FROM store ORDER BY turn DESC LIMIT 1").fetch_one(&mut *transaction);
    let row = attended.during(asked).await.map_err(fail)?;
    if begun.send(row.pos(0)?).is_err() {
        return Ok(());
    }
    for (sql, item) in PARTS {
        let mut rows = sqlx::query(*sql).fetch(&mut *transaction);
        while let Some(row) = attended.during(rows.try_next()).await.map_err(fail)? {
            if items.send(item(&row)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
