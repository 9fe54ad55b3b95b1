//! All that the model holds, and how an effect changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backend_api::effect::ReceiptRow;
use backend_api::{
    Account, AccountId, Blob, Change, Cid, CommitRow, Did, Effect, Effects, Email, Error, EventFrame, Handle,
    IdempotencyKey, Link, Micros, Mutation, Pos, Reason, Receipt, RecordPath, RecordRow, Repo, RepoId, Result, Row,
    RowKey, RowKind, Seq, Stamp, Sweep, Tid, frame,
};
use bytes::Bytes;

/// A block of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredBlock {
    pub refs: u64,
    pub released: Pos,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub accounts: BTreeMap<Did, Account>,
    pub handles: BTreeMap<Handle, Did>,
    pub emails: BTreeMap<Email, Did>,
    pub repos: BTreeMap<RepoId, Repo>,
    pub blocks: BTreeMap<(RepoId, Cid), StoredBlock>,
    pub records: BTreeMap<(RepoId, RecordPath), RecordRow>,
    pub commits: BTreeMap<(RepoId, Tid), CommitRow>,
    pub blobs: BTreeMap<(AccountId, Cid), Blob>,
    pub blob_uses: BTreeSet<(RepoId, Cid, RecordPath)>,
    pub links: BTreeSet<(RepoId, Link, RecordPath)>,
    pub rows: BTreeMap<RowKey, Row>,
    pub row_uniques: BTreeMap<(RowKind, u8, Vec<u8>), Vec<u8>>,
    pub row_lookups: BTreeSet<(RowKind, u8, Vec<u8>, RowKey)>,
    pub row_owners: BTreeSet<(Did, RowKey)>,
    pub row_expiries: BTreeSet<(Micros, RowKey)>,
    pub receipts: BTreeMap<(Did, IdempotencyKey), ReceiptRow>,
    pub sweeps: BTreeMap<Sweep, Micros>,
    pub events: BTreeMap<Seq, EventFrame>,
    pub changes: Vec<Arc<Change>>,
    pub swept_at: Micros,
    pub head: Seq,
}

impl State {
    pub fn pos(&self) -> Pos {
        Pos(self.changes.len() as u64)
    }

    pub fn head(&self) -> u64 {
        self.head.get()
    }

    /// When a mutation was taken.
    pub fn taken_at(&self, pos: Pos) -> Option<Micros> {
        let index = usize::try_from(pos.0.checked_sub(1)?).ok()?;
        self.changes.get(index).map(|change| change.stamp.at)
    }

    /// No time before this one is given to anything any more.
    pub fn floor(&self) -> Micros {
        self.changes.last().map_or(Micros(0), |change| change.stamp.at).max(self.swept_at)
    }

    /// The numbers of the next mutation.
    pub fn stamp(&self, now: Micros) -> Result<Stamp> {
        Ok(Stamp { pos: Pos(self.pos().0 + 1), at: now.max(self.floor()), first_seq: self.head.plus(1)? })
    }

    /// Carries out the effects of a mutation.
    pub fn take(&mut self, mutation: Mutation, stamp: Stamp, effects: Effects) -> Result<Receipt> {
        for (i, event) in effects.events.iter().enumerate() {
            let seq = stamp.first_seq.plus(i as u64)?;
            let block = |cid: &Cid| mutation.blocks.iter().find(|block| block.cid() == *cid);
            let frame = frame::event(&mutation, event, seq, stamp.at, &block)?;
            self.events.insert(seq, EventFrame { seq, at: stamp.at, frame: frame.into() });
            self.head = seq;
        }
        for effect in effects.changes {
            self.effect(&mutation, stamp, effect)?;
        }
        self.changes.push(Arc::new(Change { stamp, mutation }));
        Ok(effects.receipt)
    }

    fn effect(&mut self, mutation: &Mutation, stamp: Stamp, effect: Effect) -> Result<()> {
        match effect {
            Effect::Account(did, account) => set(&mut self.accounts, did, account),
            Effect::Handle(handle, did) => set(&mut self.handles, handle, did),
            Effect::Email(email, did) => set(&mut self.emails, email, did),
            Effect::Repo(id, repo) => set(&mut self.repos, id, repo),
            Effect::Block { repo, cid, delta, supplied, released } => {
                let bytes = supplied.and_then(|i| mutation.blocks.get(i)).map(|block| block.bytes().clone());
                return self.block((repo, cid), delta, bytes, released.then_some(stamp.pos));
            }
            Effect::Record(repo, path, row) => set(&mut self.records, (repo, path), row),
            Effect::Commit(repo, rev, row) => set(&mut self.commits, (repo, rev), Some(row)),
            Effect::Blob(account, cid, blob) => set(&mut self.blobs, (account, cid), blob),
            Effect::BlobUse(repo, cid, path, there) => set_member(&mut self.blob_uses, (repo, cid, path), there),
            Effect::Link(repo, link, path, there) => set_member(&mut self.links, (repo, link, path), there),
            Effect::Row(key, row) => set(&mut self.rows, key, row),
            Effect::RowUnique { kind, index, value, key } => set(&mut self.row_uniques, (kind, index, value), key),
            Effect::RowLookup { index, value, key, there } => {
                set_member(&mut self.row_lookups, (key.kind, index, value, key), there);
            }
            Effect::RowOwner(did, key, there) => set_member(&mut self.row_owners, (did, key), there),
            Effect::RowExpiry(at, key, there) => set_member(&mut self.row_expiries, (at, key), there),
            Effect::Receipt(did, key, row) => set(&mut self.receipts, (did, key), Some(row)),
            Effect::Sweep(sweep, since) => set(&mut self.sweeps, sweep, Some(since)),
        }
        Ok(())
    }

    fn block(&mut self, key: (RepoId, Cid), delta: i64, bytes: Option<Bytes>, released: Option<Pos>) -> Result<()> {
        let bad = |what: &str| Error::new(Reason::DataCorrupt, format!("block {} of repo {} {what}", key.1, key.0));
        if let Some(bytes) = bytes {
            self.blocks.entry(key).or_insert(StoredBlock { refs: 0, released: Pos(0), bytes });
        }
        let block = self.blocks.get_mut(&key).ok_or_else(|| bad("is not there and was not supplied"))?;
        block.refs = block.refs.checked_add_signed(delta).ok_or_else(|| bad("would have less than no references"))?;
        block.released = released.unwrap_or(block.released);
        Ok(())
    }

    /// Takes a row away, with its index entries.
    pub fn forget_row(&mut self, key: &RowKey) {
        let Some(row) = self.rows.remove(key) else { return };
        for (index, value) in row.unique.into_iter().enumerate() {
            self.row_uniques.remove(&(key.kind, index as u8, value));
        }
        for (index, value) in row.lookup.into_iter().enumerate() {
            self.row_lookups.remove(&(key.kind, index as u8, value, key.clone()));
        }
        if let Some(owner) = row.owner {
            self.row_owners.remove(&(owner, key.clone()));
        }
        if let Some(at) = row.expires_at {
            self.row_expiries.remove(&(at, key.clone()));
        }
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

fn set_member<K: Ord>(set: &mut BTreeSet<K>, key: K, there: bool) {
    if there {
        set.insert(key);
    } else {
        set.remove(&key);
    }
}
