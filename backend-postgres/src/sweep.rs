//! Forgetting what is due, in bounded steps, each a transaction of its own under the lock of the store's row.

use std::time::Duration;

use backend_api::{Cid, Micros, Reason, Result, SweepReport};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::clock::Stopwatch;
use crate::error::failed;
use crate::shared::Shared;
use crate::types::{Columns as _, Time, corrupt, signed};
use crate::write::Position;

/// Entries forgotten by one transaction: writers wait for no more.
const STEP: usize = 2_000;
/// Generations, blobs and purges that one transaction ends: each takes some statements, however little there is of it.
const ENDED: usize = 32;
/// Mutations of the past that are looked at together.
const MUTATIONS: i64 = 256;
/// Blocks of a purged repo that are looked at together.
const PURGED: i64 = 5_000;
/// A step has many short statements: what takes as long as so many that the server gives up is not heard.
const STATEMENTS_MAX: u32 = 7;
/// Between attempts at one step.
const PAUSE: Duration = Duration::from_millis(200);

fn fail(e: sqlx::Error) -> backend_api::Error {
    failed("sweep", &e)
}

/// Forgets up to `budget` entries. A step that fails for a reason that may pass is made again, as a write is.
pub(crate) async fn sweep(shared: &Shared, budget: usize) -> Result<SweepReport> {
    shared.is_open()?;
    let watch = Stopwatch::start();
    let mut report = SweepReport::default();
    let mut connection = None;
    loop {
        let forgotten = report.blocks + report.entries + report.rows + report.events;
        let left = budget.saturating_sub(usize::try_from(forgotten).unwrap_or(usize::MAX));
        let mut after = report.clone();
        match attempt(shared, &mut connection, left.min(STEP), &mut after).await {
            Ok(done) => {
                report = after;
                if done || left == 0 {
                    report.done = done;
                    return Ok(report);
                }
            }
            Err(e) if e.reason() == Reason::ReadFailed && watch.elapsed() < shared.options.retry_for => {
                connection = None;
                shared.is_open()?;
                tokio::time::sleep(PAUSE).await;
            }
            Err(e) => return Err(e),
        }
    }
}

async fn attempt(
    shared: &Shared,
    connection: &mut Option<PgConnection>,
    budget: usize,
    report: &mut SweepReport,
) -> Result<bool> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(shared.connect_to_lock().await.map_err(fail)?),
    };
    shared.in_time(STATEMENTS_MAX, step(shared, connection, budget, report)).await.map_err(fail)?
}

/// One transaction. True if nothing that is due is left.
async fn step(shared: &Shared, connection: &mut PgConnection, budget: usize, report: &mut SweepReport) -> Result<bool> {
    let mut transaction = connection.begin().await.map_err(fail)?;
    let store = Position::lock(&mut transaction).await.map_err(|e| e.into_error("lock the store's row"))?;
    store.open_to(shared.epoch)?;
    let now = shared.options.clock.now().max(store.floor());
    let before = report.clone();
    let mut sweeper = Sweeper { connection: &mut transaction, store, now, left: budget, report };
    let done = sweeper.all(shared.options.history_window_us, shared.options.event_retention_us).await?;
    let (after, swept_pos, oldest) = (sweeper.report.clone(), sweeper.store.swept_pos, sweeper.store.oldest);
    let has_forgotten = SweepReport { done: before.done, ..after } != before;
    if !has_forgotten && swept_pos == store.swept_pos && done {
        transaction.rollback().await.map_err(fail)?;
        return Ok(done);
    }
    // Later mutations have no earlier time: what was forgotten because of its time stays so.
    let swept_at = if has_forgotten { now.max(store.swept_at) } else { store.swept_at };
    sqlx::query("UPDATE store SET turn = turn + 1, swept_at = $1, swept_pos = $2, oldest = $3 WHERE turn = $4")
        .bind(Time(swept_at))
        .bind(signed(swept_pos.0))
        .bind(signed(oldest.get()))
        .bind(store.turn)
        .execute(&mut *transaction)
        .await
        .map_err(fail)
        .and_then(|done| match done.rows_affected() {
            1 => Ok(()),
            _ => Err(corrupt("the row of the store changed under its lock")),
        })?;
    transaction.commit().await.map_err(fail)?;
    Ok(done)
}

struct Sweeper<'a> {
    connection: &'a mut PgConnection,
    store: Position,
    now: Micros,
    left: usize,
    report: &'a mut SweepReport,
}

impl Sweeper<'_> {
    /// All that is due, as far as the budget goes. False if some of it may be left.
    async fn all(&mut self, history_window_us: u64, event_retention_us: u64) -> Result<bool> {
        if let Some(cutoff) = self.now.0.checked_sub(history_window_us).map(Micros)
            && !self.history(cutoff).await?
        {
            return Ok(false);
        }
        let cutoff = self.now.0.checked_sub(history_window_us).map(Micros);
        if !self.sweeps(cutoff).await? {
            return Ok(false);
        }
        let expired =
            sqlx::query(include_str!("../sql/sweep_rows.sql")).bind(Time(self.now)).bind(self.left as i64 + 1);
        let due = expired.fetch_all(&mut *self.connection).await.map_err(fail)?;
        if !self.rows(&due).await? {
            return Ok(false);
        }
        match self.now.0.checked_sub(event_retention_us) {
            Some(cutoff) => self.events(Micros(cutoff)).await,
            None => Ok(true),
        }
    }

    /// What mutations left behind: replaced blocks and commits, receipts. False if the budget ended before them.
    async fn history(&mut self, cutoff: Micros) -> Result<bool> {
        loop {
            let past = sqlx::query(include_str!("../sql/sweep_past.sql"))
                .bind(signed(self.store.swept_pos.0))
                .bind(MUTATIONS)
                .bind(Time(cutoff))
                .fetch_all(&mut *self.connection)
                .await
                .map_err(fail)?;
            if past.is_empty() {
                return Ok(true);
            }
            let past = past.iter().map(Past::decode).collect::<Result<Vec<_>>>()?;
            let mut cost = 0;
            let affordable = past.iter().take_while(|one| {
                cost += one.cost();
                cost <= self.left
            });
            let whole = affordable.count();
            self.forget(&past[..whole]).await?;
            if let Some(part) = past.get(whole)
                && !self.forget_part(part).await?
            {
                return Ok(false);
            }
        }
    }

    /// Mutations for all of which the budget is enough.
    async fn forget(&mut self, past: &[Past]) -> Result<()> {
        let Some(last) = past.last() else { return Ok(()) };
        let mut released: (Vec<i64>, Vec<&[u8]>, Vec<i64>) = Default::default();
        for one in past {
            for cid in one.released.chunks(Cid::BYTES) {
                released.0.push(one.repo);
                released.1.push(cid);
                released.2.push(one.pos);
            }
        }
        if !released.0.is_empty() {
            let all = released.0.len() as i64;
            self.blocks(released, all).await?;
        }
        let replaced: Vec<_> = past.iter().filter_map(|one| Some((one.repo, one.replaced.as_deref()?))).collect();
        if !replaced.is_empty() {
            let (repos, revs): (Vec<i64>, Vec<&str>) = replaced.into_iter().unzip();
            self.commits(repos, revs).await?;
        }
        let positions: Vec<i64> = past.iter().map(|one| one.pos).collect();
        let query = sqlx::query("DELETE FROM mutations WHERE pos = ANY ($1)").bind(positions);
        self.entries(query).await?;
        self.store.swept_pos = backend_api::Pos(last.pos.unsigned_abs());
        Ok(())
    }

    /// A mutation that may be more than the budget. False if something of it is left.
    async fn forget_part(&mut self, past: &Past) -> Result<bool> {
        let cids: Vec<&[u8]> = past.released.chunks(Cid::BYTES).collect();
        if !cids.is_empty() {
            let count = cids.len();
            self.blocks((vec![past.repo; count], cids, vec![past.pos; count]), self.left as i64).await?;
        }
        if self.left > 0
            && let Some(rev) = &past.replaced
        {
            self.commits(vec![past.repo], vec![rev]).await?;
        }
        if self.left == 0 {
            return Ok(false);
        }
        self.entries(sqlx::query("DELETE FROM mutations WHERE pos = $1").bind(past.pos)).await?;
        self.store.swept_pos = backend_api::Pos(past.pos.unsigned_abs());
        Ok(true)
    }

    async fn blocks(&mut self, (repos, cids, positions): (Vec<i64>, Vec<&[u8]>, Vec<i64>), limit: i64) -> Result<()> {
        let query = sqlx::query(include_str!("../sql/sweep_released.sql"));
        let query = query.bind(repos).bind(cids).bind(positions).bind(limit);
        let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
        self.report.blocks += deleted;
        self.spend(deleted)
    }

    async fn commits(&mut self, repos: Vec<i64>, revs: Vec<&str>) -> Result<()> {
        self.entries(sqlx::query(include_str!("../sql/sweep_replaced.sql")).bind(repos).bind(revs)).await
    }

    async fn entries(&mut self, query: crate::sql::Query<'_>) -> Result<()> {
        let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
        self.report.entries += deleted;
        self.spend(deleted)
    }

    fn spend(&mut self, deleted: u64) -> Result<()> {
        let left = usize::try_from(deleted).ok().and_then(|deleted| self.left.checked_sub(deleted));
        self.left =
            left.ok_or_else(|| backend_api::Error::new(Reason::ReadFailed, "a sweep forgot more than it may"))?;
        Ok(())
    }

    /// Generations and blobs that nobody can reach, and purges.
    async fn sweeps(&mut self, cutoff: Option<Micros>) -> Result<bool> {
        let cutoff = cutoff.unwrap_or_default();
        for _ in 0..ENDED {
            let query = sqlx::query(include_str!("../sql/sweep_next.sql")).bind(Time(cutoff));
            let Some(row) = query.fetch_optional(&mut *self.connection).await.map_err(fail)? else { return Ok(true) };
            let (kind, id, pos) = (row.number(0)?, signed(row.number(1)?), signed(row.number(2)?));
            let is_over = match kind {
                1 => self.generation(id).await?,
                2 => self.part(include_str!("../sql/sweep_blobs.sql"), id).await?,
                _ => self.purge(id, pos, row.bytes(3)?.to_vec()).await?,
            };
            if !is_over || self.left == 0 {
                return Ok(false);
            }
            let query = sqlx::query("DELETE FROM sweeps WHERE kind = $1 AND id = $2 AND pos = $3");
            self.entries(query.bind(kind as i16).bind(id).bind(pos)).await?;
        }
        Ok(false)
    }

    /// True if nothing is left of it.
    async fn part(&mut self, sql: &'static str, id: i64) -> Result<bool> {
        if self.left > 0 {
            let left = self.left as i64;
            self.entries(sqlx::query(sql).bind(id).bind(left)).await?;
        }
        Ok(self.left > 0)
    }

    async fn generation(&mut self, id: i64) -> Result<bool> {
        if self.left > 0 {
            let query = sqlx::query(include_str!("../sql/sweep_blocks.sql")).bind(id).bind(self.left as i64);
            let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
            self.report.blocks += deleted;
            self.spend(deleted)?;
        }
        for sql in [
            include_str!("../sql/sweep_records.sql"),
            include_str!("../sql/sweep_commits.sql"),
            include_str!("../sql/sweep_uses.sql"),
            include_str!("../sql/sweep_links.sql"),
        ] {
            if !self.part(sql, id).await? {
                return Ok(false);
            }
        }
        self.entries(sqlx::query("DELETE FROM repos WHERE id = $1").bind(id)).await?;
        Ok(self.left > 0)
    }

    /// Blocks without references are looked for in windows: a large repo does not hold the lock for long.
    async fn purge(&mut self, id: i64, pos: i64, after: Vec<u8>) -> Result<bool> {
        let query = sqlx::query(include_str!("../sql/purge_window.sql")).bind(id).bind(&after).bind(PURGED);
        let Some(row) = query.fetch_optional(&mut *self.connection).await.map_err(fail)? else {
            return self.purge_commits(id, pos).await;
        };
        let end = row.bytes(0)?;
        if self.left == 0 {
            return Ok(false);
        }
        let query = sqlx::query(include_str!("../sql/purge_blocks.sql"));
        let query = query.bind(id).bind(&after).bind(end).bind(pos).bind(self.left as i64);
        let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
        self.report.blocks += deleted;
        self.spend(deleted)?;
        // With budget left the window is done with.
        if self.left > 0 {
            let sql = "UPDATE sweeps SET after = $3 WHERE kind = 3 AND id = $1 AND pos = $2";
            let moved = sqlx::query(sql).bind(id).bind(pos).bind(end).execute(&mut *self.connection).await;
            moved.map_err(fail)?;
        }
        Ok(false)
    }

    async fn purge_commits(&mut self, id: i64, pos: i64) -> Result<bool> {
        if self.left > 0 {
            let query = sqlx::query(include_str!("../sql/purge_commits.sql"));
            let query = query.bind(id).bind(pos).bind(self.left as i64);
            self.entries(query).await?;
        }
        Ok(self.left > 0)
    }

    /// Deletes rows that were found to be expired, one more of which was looked for than may go.
    async fn rows(&mut self, due: &[PgRow]) -> Result<bool> {
        let some = &due[..due.len().min(self.left)];
        if !some.is_empty() {
            let kinds = some.iter().map(|row| row.number(0).map(|kind| kind as i16)).collect::<Result<Vec<_>>>()?;
            let keys = some.iter().map(|row| row.bytes(1)).collect::<Result<Vec<_>>>()?;
            let query = sqlx::query(include_str!("../sql/delete_rows.sql")).bind(kinds).bind(keys);
            let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
            self.report.rows += deleted;
            self.spend(deleted)?;
        }
        Ok(some.len() == due.len())
    }

    async fn events(&mut self, cutoff: Micros) -> Result<bool> {
        let query = sqlx::query(include_str!("../sql/sweep_events.sql"));
        let query = query.bind(signed(self.store.seq.get())).bind(self.left as i64 + 1).bind(Time(cutoff));
        let query = query.bind(signed(self.store.oldest.get()));
        let due = query.fetch_all(&mut *self.connection).await.map_err(fail)?;
        let some = &due[..due.len().min(self.left)];
        if let Some(last) = some.last() {
            let (oldest, last) = (self.store.oldest, last.seq(0)?);
            let query = sqlx::query("DELETE FROM events WHERE seq BETWEEN $1 AND $2");
            let query = query.bind(signed(oldest.get())).bind(signed(last.get()));
            self.store.oldest = last.plus(1)?;
            let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
            self.report.events += deleted;
            self.spend(deleted)?;
        }
        Ok(some.len() == due.len())
    }
}

/// What a mutation of the past left to be forgotten.
struct Past {
    pos: i64,
    repo: i64,
    released: Vec<u8>,
    replaced: Option<String>,
}

impl Past {
    fn decode(row: &PgRow) -> Result<Self> {
        let released = row.optional_bytes(2)?.unwrap_or_default().to_vec();
        if released.len() % Cid::BYTES != 0 {
            return Err(corrupt("mutations.released is no list of CIDs"));
        }
        Ok(Self {
            pos: signed(row.number(0)?),
            repo: signed(row.optional_number(1)?.unwrap_or_default()),
            released,
            replaced: row.optional_text(3)?.map(str::to_owned),
        })
    }

    /// Entries that it has at the most.
    fn cost(&self) -> usize {
        self.released.len() / Cid::BYTES + usize::from(self.replaced.is_some()) + 1
    }
}
