//! The firehose, the change feed, the snapshot.

use async_trait::async_trait;
use backend_api::{
    Change, Changes, Error, EventFrame, EventWindow, Firehose, Pos, Reason, Result, Seq, Snapshot, SnapshotItem,
    Snapshots,
};
use futures::StreamExt as _;

use super::page::limit;
use super::state::State;
use super::{Model, closed};

#[async_trait]
impl Firehose for Model {
    async fn event_window(&self) -> Result<EventWindow> {
        let state = self.state()?;
        Ok(EventWindow { oldest: state.oldest()?, head: state.head })
    }

    async fn events(&self, after: Seq, asked: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let state = self.state()?;
        let limit = limit(asked)?;
        if after > state.head {
            let detail = format!("cursor {after} is beyond the newest event, {}", state.head);
            return Err(Error::new(Reason::FutureCursor, detail));
        }
        if after < state.head && after.plus(1)? < state.oldest()? {
            let detail = format!("cursor {after}: the oldest event that is kept is {}", state.oldest()?);
            return Err(Error::new(Reason::CursorGone, detail));
        }
        let events = state.events.values().filter(|event| event.seq > after).take(limit);
        let mut bytes = 0;
        let mut out: Vec<EventFrame> = Vec::new();
        for event in events {
            bytes += event.frame.len();
            if !out.is_empty() && bytes > bytes_max {
                break;
            }
            out.push(event.clone());
        }
        Ok(out)
    }

    async fn wait_events(&self, after: Seq) -> Result<Seq> {
        let mut watch = self.watch.subscribe();
        let seen = watch.wait_for(|watched| watched.closed || watched.head > after.get()).await;
        match seen {
            Ok(watched) if !watched.closed => Seq::new(watched.head),
            _ => Err(closed()),
        }
    }
}

#[async_trait]
impl Changes for Model {
    async fn position(&self) -> Result<Pos> {
        Ok(self.state()?.pos())
    }

    async fn changes(&self, after: Pos, asked: usize, bytes_max: usize) -> Result<Vec<Change>> {
        let state = self.state()?;
        let limit = limit(asked)?;
        let mut bytes = 0;
        let mut out: Vec<Change> = Vec::new();
        let seen = usize::try_from(after.0).map_or(state.changes.len(), |seen| seen.min(state.changes.len()));
        for change in state.changes[seen..].iter().take(limit) {
            bytes += change.mutation.blocks.iter().map(|block| block.bytes().len() + 64).sum::<usize>() + 256;
            if !out.is_empty() && bytes > bytes_max {
                break;
            }
            out.push(Change::clone(change));
        }
        Ok(out)
    }
}

#[async_trait]
impl Snapshots for Model {
    async fn snapshot(&self) -> Result<Snapshot> {
        let state = self.state()?;
        let items = state.items();
        Ok(Snapshot { pos: state.pos(), items: futures::stream::iter(items.into_iter().map(Ok)).boxed() })
    }
}

impl State {
    fn oldest(&self) -> Result<Seq> {
        match self.events.keys().next() {
            Some(oldest) => Ok(*oldest),
            None => self.head.plus(1),
        }
    }

    /// Everything, in the order of a snapshot.
    fn items(&self) -> Vec<SnapshotItem> {
        let mut out: Vec<SnapshotItem> = Vec::new();
        out.extend(self.accounts.values().cloned().map(SnapshotItem::Account));
        out.extend(self.repos.values().cloned().map(SnapshotItem::Repo));
        out.extend(self.blocks.iter().map(|((repo, cid), block)| SnapshotItem::Block {
            repo: *repo,
            cid: *cid,
            refs: block.refs,
            released: block.released,
            bytes: block.bytes.clone(),
        }));
        out.extend(
            self.records.iter().map(|((repo, path), row)| SnapshotItem::Record(*repo, path.clone(), row.clone())),
        );
        out.extend(self.commits.iter().map(|((repo, rev), row)| SnapshotItem::Commit(*repo, *rev, row.clone())));
        out.extend(self.blobs.iter().map(|((account, _), blob)| SnapshotItem::Blob(*account, blob.clone())));
        out.extend(self.rows.values().cloned().map(SnapshotItem::Row));
        out.extend(self.receipts.iter().map(|((did, key), row)| SnapshotItem::Receipt(did.clone(), *key, row.clone())));
        out.extend(self.sweeps.iter().map(|(sweep, since)| SnapshotItem::Sweep(*sweep, *since)));
        out.extend(self.events.values().cloned().map(SnapshotItem::Event));
        out
    }
}
