//! A snapshot as a stream: the drained metadata of one position, with the blocks and events that it names.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Error, Micros, Pos, Reason, Result, Snapshot, SnapshotItem};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use crate::core::{Shared, mark_of};
use crate::events::Pinned;
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue};
use crate::meta::MetaSnapshot;
use crate::runtime::Pool;

/// Pairs, or events, read at a time.
const STEP: usize = 256;
/// Bytes of events read at a time.
const STEP_BYTES: usize = 1 << 20;

/// What is exported, in this order.
const SPACES: [Space; 9] = [
    Space::Account,
    Space::Repo,
    Space::Block,
    Space::Record,
    Space::Commit,
    Space::Blob,
    Space::Row,
    Space::Receipt,
    Space::Sweep,
];

struct Reader {
    shared: Arc<Shared>,
    state: Arc<dyn MetaSnapshot>,
    /// What comes next: a space and the last key given of it, or the last event.
    at: At,
    events: Pinned,
    last_seq: u64,
}

#[derive(Clone)]
enum At {
    Space(usize, Option<Bytes>),
    Events(u64),
    End,
}

/// The stream over what is drained now.
pub fn snapshot(shared: &Arc<Shared>, pool: Arc<Pool>) -> Result<Snapshot> {
    let state = Arc::clone(&shared.tables().store);
    let mark = mark_of(&*state)?;
    let events = shared.events.pin();
    let reader = Reader { shared: Arc::clone(shared), state, events, at: At::Space(0, None), last_seq: mark.seq };
    let pieces = stream::unfold((Some(reader), pool), |(reader, pool)| async move {
        let mut reader = reader.filter(|r| !matches!(r.at, At::End))?;
        let piece = pool.run(move || reader.piece().map(|items| (items, reader))).await;
        // The stream ends after its first error.
        Some(match piece {
            Ok((items, reader)) => (Ok(items), (Some(reader), pool)),
            Err(e) => (Err(e), (None, pool)),
        })
    });
    let items = pieces.flat_map(|piece| match piece {
        Ok(items) => stream::iter(items.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(e) => stream::iter(vec![Err(e)]),
    });
    Ok(Snapshot { pos: Pos(mark.pos), items: items.boxed() })
}

impl Reader {
    fn piece(&mut self) -> Result<Vec<SnapshotItem>> {
        match self.at.clone() {
            At::Space(i, after) => self.pairs(i, after),
            At::Events(after) => self.events(after),
            At::End => Ok(Vec::new()),
        }
    }

    fn pairs(&mut self, i: usize, after: Option<Bytes>) -> Result<Vec<SnapshotItem>> {
        let prefix = key::space(SPACES[i]);
        let to = key::after_prefix(&prefix).unwrap_or_default();
        let from = after.as_deref().map_or(Bound::Included(&prefix[..]), Bound::Excluded);
        let mut items = Vec::new();
        let mut last = None;
        for pair in self.state.range(from, Bound::Excluded(&to), false).take(STEP) {
            let (key, value) = pair?;
            items.push(item(&self.shared, SPACES[i], &key, &value)?);
            last = Some(key);
        }
        self.at = match last {
            Some(key) if items.len() == STEP => At::Space(i, Some(key)),
            _ if i + 1 < SPACES.len() => At::Space(i + 1, None),
            _ => At::Events(self.events.oldest.saturating_sub(1)),
        };
        Ok(items)
    }

    fn events(&mut self, after: u64) -> Result<Vec<SnapshotItem>> {
        let events = self.events.events(after, STEP, STEP_BYTES)?;
        if events.is_empty() && after < self.last_seq {
            return Err(Error::new(Reason::DataCorrupt, format!("event {} is missing", after + 1)));
        }
        let ours = events.into_iter().take_while(|e| e.seq.get() <= self.last_seq).collect::<Vec<_>>();
        self.at = match ours.last() {
            Some(event) if event.seq.get() < self.last_seq => At::Events(event.seq.get()),
            _ => At::End,
        };
        Ok(ours.into_iter().map(SnapshotItem::Event).collect())
    }
}

fn item(shared: &Shared, space: Space, key: &[u8], bytes: &[u8]) -> Result<SnapshotItem> {
    Ok(match space {
        Space::Account => SnapshotItem::Account(value::decode(bytes, "account")?),
        Space::Repo => SnapshotItem::Repo(value::decode(bytes, "repo")?),
        Space::Block => {
            let (repo, cid) = key::read_block(key)?;
            let block: BlockValue = value::decode(bytes, "block")?;
            let bytes = shared.stored_block(block.place, &cid)?;
            if !cid.matches(&bytes) {
                let detail = format!("block {cid} of repo generation {repo}: its bytes hash to another CID");
                return Err(Error::new(Reason::DataCorrupt, detail));
            }
            SnapshotItem::Block { repo, cid, refs: block.refs, released: Pos(block.released), bytes }
        }
        Space::Record => {
            let (repo, path) = key::read_record(key)?;
            SnapshotItem::Record(repo, path, value::decode(bytes, "record")?)
        }
        Space::Commit => {
            let (repo, rev) = key::read_commit(key)?;
            SnapshotItem::Commit(repo, rev, value::decode(bytes, "commit")?)
        }
        Space::Blob => SnapshotItem::Blob(key::read_blob_account(key)?, value::decode(bytes, "blob")?),
        Space::Row => SnapshotItem::Row(value::decode(bytes, "row")?),
        Space::Receipt => {
            let (did, idempotency) = key::read_receipt(key)?;
            SnapshotItem::Receipt(did, idempotency, value::decode(bytes, "receipt")?)
        }
        Space::Sweep => {
            let since: Micros = value::decode(bytes, "sweep")?;
            SnapshotItem::Sweep(key::read_sweep(key)?, since)
        }
        _ => return Err(Error::new(Reason::DataCorrupt, format!("metadata: space {space:?} is not exported"))),
    })
}
