//! What a group of mutations changes, folded: of each key only what is there at the end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backend_api::{
    Change, Checked, Cid, CommitRow, Did, Effect, Effects, EventFrame, IdempotencyKey, Link, Micros, Op, Pos, Receipt,
    RecordPath, RepoId, Result, RowKey, Seq, Stamp, Sweep, Tid, frame,
};
use bytes::Bytes;

use super::overlay::Overlay;

/// A mutation's own entry.
pub(super) struct Taken {
    pub did: Did,
    pub key: IdempotencyKey,
    pub digest: u64,
    pub receipt: Receipt,
    /// The generation that it took references from, and the CIDs in their binary form.
    pub repo: Option<RepoId>,
    pub released: Vec<u8>,
    /// The rev of the commit that was the head before.
    pub replaced: Option<Tid>,
}

/// What is to be written. Values of keys that are listed here only by name are in the overlay.
#[derive(Default)]
pub(super) struct Fold {
    pub accounts: BTreeSet<Did>,
    pub repos: BTreeSet<RepoId>,
    pub blocks: HashSet<(RepoId, Cid)>,
    pub records: BTreeSet<(RepoId, RecordPath)>,
    pub commits: Vec<(RepoId, Tid, CommitRow)>,
    pub blobs: BTreeSet<(backend_api::AccountId, Cid)>,
    pub uses: BTreeMap<(RepoId, Cid, RecordPath), bool>,
    pub links: BTreeMap<(RepoId, Link, RecordPath), bool>,
    pub rows: BTreeSet<RowKey>,
    pub sweeps: BTreeMap<Sweep, Micros>,
    pub taken: Vec<Taken>,
    pub events: Vec<EventFrame>,
    pub changes: Vec<Change>,
}

impl Fold {
    /// Lays a mutation's effects over the state, and notes what they change.
    pub fn take(
        &mut self,
        overlay: &mut Overlay,
        checked: &Checked,
        stamp: Stamp,
        effects: Effects,
        is_recorded: bool,
    ) -> Result<Receipt> {
        let mutation = checked.mutation();
        let mut events = Vec::with_capacity(effects.events.len());
        for (i, event) in effects.events.iter().enumerate() {
            let seq: Seq = stamp.first_seq.plus(i as u64)?;
            let block = |cid: &Cid| checked.supplied(cid).map(|i| &mutation.blocks[i]);
            let frame = frame::event(mutation, event, seq, stamp.at, &block)?;
            events.push(EventFrame { seq, at: stamp.at, frame: frame.into() });
        }
        self.events.append(&mut events);
        let mut taken = Taken {
            did: mutation.did.clone(),
            key: mutation.key,
            digest: checked.digest(),
            receipt: effects.receipt.clone(),
            repo: None,
            released: Vec::new(),
            replaced: mutation.ops.iter().find_map(|op| match op {
                Op::Commit(commit) => commit.expected.map(|head| head.rev),
                _ => None,
            }),
        };
        for effect in effects.changes {
            self.effect(overlay, checked, stamp.pos, &mut taken, effect);
        }
        self.taken.push(taken);
        if is_recorded {
            self.changes.push(Change { stamp, mutation: mutation.clone() });
        }
        Ok(effects.receipt)
    }

    fn effect(&mut self, overlay: &mut Overlay, checked: &Checked, pos: Pos, taken: &mut Taken, effect: Effect) {
        match effect {
            Effect::Account(did, account) => {
                self.accounts.insert(did.clone());
                overlay.accounts.insert(did, account);
            }
            Effect::Handle(handle, did) => drop(overlay.handles.insert(handle, did)),
            Effect::Email(email, did) => drop(overlay.emails.insert(email, did)),
            Effect::Repo(id, repo) => {
                self.repos.insert(id);
                overlay.repos.insert(id, repo);
            }
            Effect::Block { repo, cid, delta, supplied, released } => {
                let bytes = supplied.map(|i| checked.mutation().blocks[i].bytes().clone());
                if delta == 0 && bytes.is_none() && !released {
                    return;
                }
                if released {
                    // Only a commit takes references away, and a mutation has one at the most.
                    taken.repo = Some(repo);
                    taken.released.extend_from_slice(&cid.to_bytes());
                }
                self.block(overlay, (repo, cid), delta, bytes, released.then_some(pos));
            }
            Effect::Record(repo, path, row) => {
                self.records.insert((repo, path.clone()));
                overlay.records.insert((repo, path), row);
            }
            Effect::Commit(repo, rev, row) => {
                taken.repo = Some(repo);
                self.commits.push((repo, rev, row));
            }
            Effect::Blob(account, cid, blob) => {
                self.blobs.insert((account, cid));
                overlay.blobs.insert((account, cid), blob);
            }
            Effect::BlobUse(repo, cid, path, there) => {
                self.uses.insert((repo, cid, path.clone()), there);
                overlay.uses.entry((repo, cid)).or_default().changed.insert(path, there);
            }
            Effect::Link(repo, link, path, there) => drop(self.links.insert((repo, link, path), there)),
            Effect::Row(key, row) => {
                self.rows.insert(key.clone());
                overlay.cut.remove(&key);
                overlay.rows.insert(key, row);
            }
            Effect::RowUnique { kind, index, value, key } => drop(overlay.uniques.insert((kind, index, value), key)),
            Effect::RowOwner(did, key, there) => {
                overlay.owned.entry(did).or_default().changed.insert(key, there);
            }
            // The database has indexes of its own.
            Effect::RowLookup { .. } | Effect::RowExpiry(..) => {}
            Effect::Receipt(did, key, row) => drop(overlay.receipts.insert((did, key), Some(row))),
            Effect::Sweep(sweep, since) => drop(self.sweeps.insert(sweep, since)),
        }
    }

    fn block(
        &mut self,
        overlay: &mut Overlay,
        key: (RepoId, Cid),
        delta: i64,
        supplied: Option<Bytes>,
        released: Option<Pos>,
    ) {
        self.blocks.insert(key);
        let block = overlay.blocks.entry(key).or_default();
        block.delta += delta;
        block.supplied = block.supplied.take().or(supplied);
        block.released = released.or(block.released);
    }
}
