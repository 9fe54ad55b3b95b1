//! What the planner reads: the database as far as it was asked, under what the group did so far.
//!
//! The planner cannot wait, and a database must be asked for in advance. So what a plan is likely to read is loaded before
//! it is made; what it reads besides is noted ([`Wanted`]), loaded, and the plan made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use backend_api::effect::ReceiptRow;
use backend_api::{
    Account, AccountId, Blob, BlockRefs, Cid, Did, Email, Error, Handle, IdempotencyKey, Mutation, Op, Pos, Reason,
    RecordPath, RecordRow, Repo, RepoId, Result, Row, RowKey, RowKind, View,
};
use bytes::Bytes;

use super::wanted::Wanted;

/// A block of one generation.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockState {
    /// References and length in the database; `None` while it was not asked.
    pub stored: Option<Option<(u64, u32)>>,
    /// References that the group added.
    pub delta: i64,
    /// Bytes that the group supplied.
    pub supplied: Option<Bytes>,
    /// The last mutation of the group that took a reference away.
    pub released: Option<Pos>,
}

/// A set of which the database has a part that was asked for, and the group has changed some members.
#[derive(Debug, Clone)]
pub(super) struct Members<T> {
    /// Members in the database, and whether these are all.
    pub stored: Option<(BTreeSet<T>, bool)>,
    /// Members that the group added or took away.
    pub changed: BTreeMap<T, bool>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { stored: None, changed: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Members<T> {
    /// Up to `limit` members; `None` if the database must be asked for more.
    fn some(&self, limit: usize) -> Option<Vec<T>> {
        let (stored, is_all) = self.stored.as_ref()?;
        let kept = stored.iter().filter(|member| !self.changed.contains_key(*member));
        let added = self.changed.iter().filter(|(_, there)| **there).map(|(member, _)| member);
        let found: Vec<T> = kept.chain(added).take(limit).cloned().collect();
        (*is_all || found.len() == limit).then_some(found)
    }
}

/// The state that a group is planned on.
#[derive(Default)]
pub(super) struct Overlay {
    /// Generations above it began in this group: the database has nothing of them.
    pub stored_pos: Pos,
    pub accounts: HashMap<Did, Option<Account>>,
    pub handles: HashMap<Handle, Option<Did>>,
    pub emails: HashMap<Email, Option<Did>>,
    pub repos: HashMap<RepoId, Option<Repo>>,
    pub blocks: HashMap<(RepoId, Cid), BlockState>,
    /// Blocks that earlier groups left with so many references at least, and their lengths: what a commit adds of the tree
    /// the next one to the repo takes away.
    pub held: HashMap<(RepoId, Cid), (u64, u32)>,
    pub records: HashMap<(RepoId, RecordPath), Option<RecordRow>>,
    pub blobs: HashMap<(AccountId, Cid), Option<Blob>>,
    pub uses: HashMap<(RepoId, Cid), Members<RecordPath>>,
    pub rows: HashMap<RowKey, Option<Row>>,
    /// Rows whose body was loaded so far only. All others have theirs.
    pub cut: HashMap<RowKey, usize>,
    /// How far the mutation that is planned looks at bodies.
    pub looks: HashMap<RowKey, usize>,
    pub uniques: HashMap<(RowKind, u8, Vec<u8>), Option<Vec<u8>>>,
    pub owned: HashMap<Did, Members<RowKey>>,
    pub receipts: HashMap<(Did, IdempotencyKey), Option<ReceiptRow>>,
    /// True if the group is planned as if no receipt of it were there, nor a record that it makes, without asking.
    pub is_assumed: bool,
    /// Bytes of the rows that were loaded.
    pub loaded_bytes: usize,
    /// What a plan read that was not loaded.
    missed: Mutex<Wanted>,
}

impl Overlay {
    /// Forgets all that the database may have changed, or that is not worth keeping.
    pub fn clear(&mut self, keep_heads: bool) {
        /// Accounts and repos that are remembered from group to group.
        const HEADS_MAX: usize = 20_000;
        /// And blocks.
        const HELD_MAX: usize = 100_000;
        let heads = (std::mem::take(&mut self.accounts), std::mem::take(&mut self.repos));
        let held = self.take_held();
        *self = Self::default();
        if keep_heads && heads.0.len() <= HEADS_MAX {
            (self.accounts, self.repos) = heads;
        }
        if keep_heads && held.len() <= HELD_MAX {
            self.held = held;
        }
    }

    /// What is known to be held, with what the group changed.
    fn take_held(&mut self) -> HashMap<(RepoId, Cid), (u64, u32)> {
        let mut held = std::mem::take(&mut self.held);
        for (key, block) in self.blocks.drain() {
            let before = block.stored.flatten().or_else(|| held.get(&key).copied());
            let supplied = block.supplied.map(|bytes| (0, bytes.len() as u32));
            let after = before.or(supplied).map(|(refs, len)| (refs.saturating_add_signed(block.delta), len));
            match after.filter(|(refs, _)| *refs > 0) {
                Some(after) => held.insert(key, after),
                None => held.remove(&key),
            };
        }
        held
    }

    /// Takes what is wanted for not there.
    pub fn assume(&mut self, wanted: Wanted) {
        self.is_assumed = true;
        self.receipts.extend(wanted.receipts.into_iter().map(|key| (key, None)));
        self.records.extend(wanted.records.into_iter().map(|key| (key, None)));
    }

    /// What was assumed of a mutation is to be asked.
    pub fn doubt(&mut self, mutation: &Mutation) {
        let key = (mutation.did.clone(), mutation.key);
        if matches!(self.receipts.get(&key), Some(None)) {
            self.receipts.remove(&key);
        }
        let Some(repo) = self.accounts.get(&mutation.did).and_then(|account| account.as_ref()?.repo) else { return };
        for op in &mutation.ops {
            let Op::Commit(commit) = op else { continue };
            for key in commit.records.iter().map(|op| (repo, op.path.clone())) {
                if matches!(self.records.get(&key), Some(None)) {
                    self.records.remove(&key);
                }
            }
        }
    }

    /// True if the database has a block, whoever refers to it.
    pub fn is_stored(&self, key: &(RepoId, Cid)) -> bool {
        self.held.contains_key(key) || self.blocks.get(key).is_some_and(|block| matches!(block.stored, Some(Some(_))))
    }

    /// True if the database has nothing of a generation.
    pub fn is_new(&self, repo: RepoId) -> bool {
        repo.0 > self.stored_pos.0
    }

    /// A row that was loaded, with the first bytes of its body, unless there is more of it already.
    pub fn found_row(&mut self, row: Row, bytes: usize) {
        /// What a row takes besides its body.
        const ROW_BYTES: usize = 256;
        let is_more = self.cut.get(&row.key).is_some_and(|had| *had < bytes);
        if is_more || self.rows.get(&row.key).is_none_or(Option::is_none) {
            self.loaded_bytes += ROW_BYTES + row.body.len();
            // A body that ends before is whole.
            match row.body.len() < bytes {
                true => self.cut.remove(&row.key),
                false => self.cut.insert(row.key.clone(), bytes),
            };
            self.rows.insert(row.key.clone(), Some(row));
        }
    }

    /// True if a row is loaded, with so many bytes of its body.
    pub fn has_row(&self, key: &RowKey, bytes: usize) -> bool {
        self.rows.contains_key(key) && self.cut.get(key).is_none_or(|had| *had >= bytes)
    }

    /// What plans read that was not loaded, since this was last asked.
    pub fn take_missed(&self) -> Wanted {
        std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn missed<T>(&self, note: impl FnOnce(&mut Wanted)) -> Result<T> {
        note(&mut self.missed.lock().unwrap_or_else(PoisonError::into_inner));
        Err(Error::new(Reason::ReadFailed, "a plan read what was not loaded"))
    }
}

impl View for Overlay {
    fn account(&self, did: &Did) -> Result<Option<Account>> {
        match self.accounts.get(did) {
            Some(account) => Ok(account.clone()),
            None => self.missed(|wanted| wanted.account(did)),
        }
    }

    fn handle(&self, handle: &Handle) -> Result<Option<Did>> {
        match self.handles.get(handle) {
            Some(did) => Ok(did.clone()),
            None => self.missed(|wanted| wanted.handle(handle)),
        }
    }

    fn email(&self, email: &Email) -> Result<Option<Did>> {
        match self.emails.get(email) {
            Some(did) => Ok(did.clone()),
            None => self.missed(|wanted| wanted.email(email)),
        }
    }

    fn repo(&self, id: RepoId) -> Result<Option<Repo>> {
        match self.repos.get(&id) {
            Some(repo) => Ok(repo.clone()),
            None if self.is_new(id) => Ok(None),
            None => self.missed(|wanted| wanted.repo(id)),
        }
    }

    fn record(&self, repo: RepoId, path: &RecordPath) -> Result<Option<RecordRow>> {
        match self.records.get(&(repo, path.clone())) {
            Some(record) => Ok(record.clone()),
            None if self.is_new(repo) => Ok(None),
            None => self.missed(|wanted| wanted.record(repo, path)),
        }
    }

    fn block(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockRefs>> {
        let Some(block) = self.blocks.get(&(repo, *cid)) else {
            return if self.is_new(repo) { Ok(None) } else { self.missed(|wanted| wanted.block(repo, cid)) };
        };
        let stored = match block.stored {
            Some(stored) => stored,
            None if self.is_new(repo) => None,
            None => return self.missed(|wanted| wanted.block(repo, cid)),
        };
        let supplied = block.supplied.as_ref().map(|bytes| bytes.len() as u32);
        let Some(len) = stored.map(|(_, len)| len).or(supplied) else { return Ok(None) };
        let refs = stored.map_or(0, |(refs, _)| refs).saturating_add_signed(block.delta);
        Ok(Some(BlockRefs { refs, len }))
    }

    /// What this process added, in this group and before, may be enough, without asking.
    fn holds(&self, repo: RepoId, cid: &Cid, refs: u64) -> Result<Option<u32>> {
        let (block, held) = (self.blocks.get(&(repo, *cid)), self.held.get(&(repo, *cid)));
        let supplied = block.and_then(|block| block.supplied.as_ref()).map(|bytes| (0, bytes.len() as u32));
        let delta = block.map_or(0, |block| block.delta);
        if let Some((before, len)) = held.copied().or(supplied)
            && before.checked_add_signed(delta).is_some_and(|now| now >= refs)
        {
            return Ok(Some(len));
        }
        Ok(self.block(repo, cid)?.filter(|block| block.refs >= refs).map(|block| block.len))
    }

    fn blob(&self, account: AccountId, cid: &Cid) -> Result<Option<Blob>> {
        match self.blobs.get(&(account, *cid)) {
            Some(blob) => Ok(blob.clone()),
            None if account.0 > self.stored_pos.0 => Ok(None),
            None => self.missed(|wanted| wanted.blob(account, cid)),
        }
    }

    fn blob_uses(&self, repo: RepoId, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
        let members = self.uses.get(&(repo, *cid));
        if self.is_new(repo) {
            let added = members.into_iter().flat_map(|members| members.changed.iter().filter(|(_, there)| **there));
            return Ok(added.take(limit).map(|(path, _)| path.clone()).collect());
        }
        match members.and_then(|members| members.some(limit)) {
            Some(paths) => Ok(paths),
            None => {
                let changed = members.map_or(0, |members| members.changed.len());
                self.missed(|wanted| wanted.uses(repo, cid, limit + changed))
            }
        }
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        let bytes = self.looks.get(key).copied().unwrap_or(0);
        match self.rows.get(key) {
            Some(row) if self.has_row(key, bytes) => Ok(row.clone()),
            _ => self.missed(|wanted| wanted.row(key, bytes)),
        }
    }

    fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.uniques.get(&(kind, index, value.to_vec())) {
            Some(key) => Ok(key.clone()),
            None => self.missed(|wanted| wanted.unique(kind, index, value)),
        }
    }

    fn rows_owned(&self, did: &Did, limit: usize) -> Result<Vec<RowKey>> {
        let members = self.owned.get(did);
        match members.and_then(|members| members.some(limit)) {
            Some(keys) => Ok(keys),
            None => {
                let changed = members.map_or(0, |members| members.changed.len());
                self.missed(|wanted| wanted.owned(did, limit + changed))
            }
        }
    }

    fn receipt(&self, did: &Did, key: &IdempotencyKey) -> Result<Option<ReceiptRow>> {
        match self.receipts.get(&(did.clone(), *key)) {
            Some(receipt) => Ok(receipt.clone()),
            None => self.missed(|wanted| wanted.receipt(did, key)),
        }
    }
}
