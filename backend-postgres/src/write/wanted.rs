//! What is to be loaded before a plan can be made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use backend_api::limits::ROW_BODY_BYTES_MAX;
use backend_api::mutation::{ImportTree, RepoCommit};
use backend_api::{
    Account, AccountId, Checked, Cid, Did, Email, Expect, Handle, IdempotencyKey, Mutation, Op, RecordPath, RepoId,
    Row, RowKey, RowKind,
};

use super::overlay::Overlay;

/// Uses of a blob that are loaded at least.
const USES: usize = 16;

/// How far an operation looks at the body of the row that it names. A body that is only compared is loaded one byte further
/// than what it is compared with: a longer one is another one. Of what is deleted the body does not matter.
fn body_bytes(op: &Op) -> usize {
    match op {
        Op::TakeRow(_) => ROW_BODY_BYTES_MAX,
        Op::PutRow { row, expect } => row.body.len().max(expected(expect)) + 1,
        Op::DeleteRow { expect: expect @ Expect::Body(_), .. } => expected(expect) + 1,
        _ => 0,
    }
}

fn expected(expect: &Expect) -> usize {
    match expect {
        Expect::Body(body) => body.len(),
        Expect::Any | Expect::Absent => 0,
    }
}

/// How far a mutation looks at the bodies of rows.
pub(super) fn looks(mutation: &Mutation) -> HashMap<RowKey, usize> {
    let mut looks = HashMap::new();
    for op in &mutation.ops {
        let (Op::PutRow { row: Row { key, .. }, .. } | Op::DeleteRow { key, .. } | Op::TakeRow(key)) = op else {
            continue;
        };
        let bytes = looks.entry(key.clone()).or_default();
        *bytes = body_bytes(op).max(*bytes);
    }
    looks
}

/// Keys to be looked up.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub accounts: BTreeSet<Did>,
    pub handles: BTreeSet<Handle>,
    pub emails: BTreeSet<Email>,
    pub repos: BTreeSet<RepoId>,
    pub blocks: BTreeSet<(RepoId, Cid)>,
    pub records: BTreeSet<(RepoId, RecordPath)>,
    pub blobs: BTreeSet<(AccountId, Cid)>,
    pub uses: BTreeMap<(RepoId, Cid), usize>,
    /// And how much of their bodies.
    pub rows: BTreeMap<RowKey, usize>,
    pub uniques: BTreeSet<(RowKind, u8, Vec<u8>)>,
    pub owned: BTreeMap<Did, usize>,
    pub receipts: BTreeSet<(Did, IdempotencyKey)>,
}

impl Wanted {
    pub fn account(&mut self, did: &Did) {
        self.accounts.insert(did.clone());
    }

    pub fn handle(&mut self, handle: &Handle) {
        self.handles.insert(handle.clone());
    }

    pub fn email(&mut self, email: &Email) {
        self.emails.insert(email.clone());
    }

    pub fn repo(&mut self, id: RepoId) {
        self.repos.insert(id);
    }

    pub fn block(&mut self, repo: RepoId, cid: &Cid) {
        self.blocks.insert((repo, *cid));
    }

    pub fn record(&mut self, repo: RepoId, path: &RecordPath) {
        self.records.insert((repo, path.clone()));
    }

    pub fn blob(&mut self, account: AccountId, cid: &Cid) {
        self.blobs.insert((account, *cid));
    }

    pub fn uses(&mut self, repo: RepoId, cid: &Cid, limit: usize) {
        let wanted = self.uses.entry((repo, *cid)).or_default();
        *wanted = limit.max(*wanted).max(USES);
    }

    pub fn row(&mut self, key: &RowKey, bytes: usize) {
        let wanted = self.rows.entry(key.clone()).or_default();
        *wanted = bytes.max(*wanted);
    }

    pub fn unique(&mut self, kind: RowKind, index: u8, value: &[u8]) {
        self.uniques.insert((kind, index, value.to_vec()));
    }

    pub fn owned(&mut self, did: &Did, limit: usize) {
        let wanted = self.owned.entry(did.clone()).or_default();
        *wanted = limit.max(*wanted);
    }

    pub fn receipt(&mut self, did: &Did, key: &IdempotencyKey) {
        self.receipts.insert((did.clone(), *key));
    }

    pub fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.records.is_empty() && self.is_empty_besides()
    }

    /// But for receipts and records.
    fn is_empty_besides(&self) -> bool {
        self.accounts.is_empty()
            && self.handles.is_empty()
            && self.emails.is_empty()
            && self.repos.is_empty()
            && self.blocks.is_empty()
            && self.blobs.is_empty()
            && self.uses.is_empty()
            && self.rows.is_empty()
            && self.uniques.is_empty()
            && self.owned.is_empty()
    }

    /// True if what a group asks is nearly always not there, and refused by the constraints of its tables where it is: receipts,
    /// and records that commits make.
    pub fn is_assumable(&self, group: &[Checked]) -> bool {
        let mut ops = group.iter().flat_map(|checked| &checked.mutation().ops);
        let makes = |commit: &RepoCommit| commit.records.iter().all(|op| op.old.is_none());
        self.is_empty_besides() && ops.all(|op| matches!(op, Op::Commit(commit) if makes(commit)))
    }

    /// Wants no more of all bodies together than that, and of each as much as of the others: most are short.
    pub fn bound_bodies(&mut self, bytes_max: usize) {
        let each = bytes_max / self.rows.len().max(1);
        self.rows.values_mut().for_each(|bytes| *bytes = each.min(*bytes));
    }

    /// What a plan of this mutation is likely to read, as far as the overlay knows where it is: of a repo that is not loaded
    /// yet, nothing more than the account.
    pub fn mutation(&mut self, overlay: &Overlay, checked: &Checked) {
        let mutation = checked.mutation();
        let did = &mutation.did;
        if !overlay.receipts.contains_key(&(did.clone(), mutation.key)) {
            self.receipt(did, &mutation.key);
        }
        let account = overlay.accounts.get(did);
        if account.is_none() {
            self.account(did);
        }
        let account = account.and_then(Option::as_ref);
        for repo in account.into_iter().flat_map(|account| [account.repo, account.import]).flatten() {
            if !overlay.repos.contains_key(&repo) && !overlay.is_new(repo) {
                self.repo(repo);
            }
        }
        for op in &mutation.ops {
            self.names_and_rows(overlay, op);
            if let Some(account) = account {
                self.repo_op(overlay, checked, account, op);
            }
        }
    }

    fn names_and_rows(&mut self, overlay: &Overlay, op: &Op) {
        let (handle, email) = match op {
            Op::CreateAccount(new) => (new.handle.as_ref(), new.email.as_ref()),
            Op::UpdateAccount(patch) => {
                (patch.handle.as_ref().and_then(Option::as_ref), patch.email.as_ref().and_then(Option::as_ref))
            }
            _ => (None, None),
        };
        if let Some(handle) = handle.filter(|handle| !overlay.handles.contains_key(*handle)) {
            self.handle(handle);
        }
        if let Some(email) = email.filter(|email| !overlay.emails.contains_key(*email)) {
            self.email(email);
        }
        match op {
            Op::PutRow { row, .. } => {
                self.missing_row(overlay, &row.key, body_bytes(op));
                for (index, value) in row.unique.iter().enumerate() {
                    let (kind, index) = (row.key.kind, index as u8);
                    match overlay.uniques.get(&(kind, index, value.clone())) {
                        None => self.unique(kind, index, value),
                        Some(Some(holder)) => self.missing_row(overlay, &RowKey { kind, key: holder.clone() }, 0),
                        Some(None) => {}
                    }
                }
            }
            Op::DeleteRow { key, .. } | Op::TakeRow(key) => self.missing_row(overlay, key, body_bytes(op)),
            _ => {}
        }
    }

    /// Bodies that only begin with what was loaded are asked for by the plans that look further.
    fn missing_row(&mut self, overlay: &Overlay, key: &RowKey, bytes: usize) {
        if !overlay.rows.contains_key(key) {
            self.row(key, bytes);
        }
    }

    fn repo_op(&mut self, overlay: &Overlay, checked: &Checked, account: &Account, op: &Op) {
        match op {
            Op::Commit(commit) => {
                if let Some(repo) = account.repo.filter(|repo| !overlay.is_new(*repo)) {
                    self.commit(overlay, checked, account, repo, commit);
                }
            }
            Op::ImportTree(step) if !overlay.is_new(step.import) => self.import_tree(overlay, checked, step),
            Op::FinishImport(finish) if !overlay.is_new(finish.import) => {
                self.missing_block(overlay, finish.import, &finish.data);
            }
            Op::PutBlob { cid, .. } => self.missing_blob(overlay, account, cid),
            Op::DeleteBlob(cid) => {
                self.missing_blob(overlay, account, cid);
                self.missing_uses(overlay, account, cid, 1);
            }
            _ => {}
        }
    }

    fn commit(&mut self, overlay: &Overlay, checked: &Checked, account: &Account, repo: RepoId, commit: &RepoCommit) {
        // Of each blob as many uses as are taken away, and one more: it tells whether the blob goes too.
        let mut gone: BTreeMap<Cid, usize> = BTreeMap::new();
        for op in &commit.records {
            match overlay.records.get(&(repo, op.path.clone())) {
                None => self.record(repo, &op.path),
                // The blobs that the record refers to may go with it.
                Some(old) => {
                    for cid in old.iter().flat_map(|row| &row.blobs) {
                        *gone.entry(*cid).or_default() += 1;
                    }
                }
            }
        }
        for (cid, count) in gone {
            self.missing_blob(overlay, account, &cid);
            self.missing_uses(overlay, account, &cid, count + 1);
        }
        let old = commit.removed.iter().chain(commit.records.iter().filter_map(|op| op.old.as_ref()));
        let new = commit.added.iter().chain(commit.records.iter().filter_map(|op| op.new.as_ref()));
        let kept = new.filter(|cid| checked.supplied(cid).is_none());
        let root = Some(&commit.data).filter(|root| checked.supplied(root).is_none());
        for cid in old.chain(kept).chain(root) {
            self.missing_block(overlay, repo, cid);
        }
    }

    fn import_tree(&mut self, overlay: &Overlay, checked: &Checked, step: &ImportTree) {
        for cid in step.nodes.iter().chain(step.records.iter().filter_map(|op| op.new.as_ref())) {
            if checked.supplied(cid).is_none() {
                self.missing_block(overlay, step.import, cid);
            }
        }
        for op in &step.records {
            if !overlay.records.contains_key(&(step.import, op.path.clone())) {
                self.record(step.import, &op.path);
            }
        }
    }

    fn missing_block(&mut self, overlay: &Overlay, repo: RepoId, cid: &Cid) {
        let is_loaded = overlay.blocks.get(&(repo, *cid)).is_some_and(|block| block.stored.is_some());
        if !is_loaded && !overlay.held.contains_key(&(repo, *cid)) {
            self.block(repo, cid);
        }
    }

    fn missing_blob(&mut self, overlay: &Overlay, account: &Account, cid: &Cid) {
        if !overlay.blobs.contains_key(&(account.id, *cid)) {
            self.blob(account.id, cid);
        }
    }

    fn missing_uses(&mut self, overlay: &Overlay, account: &Account, cid: &Cid, limit: usize) {
        for repo in [account.repo, account.import].into_iter().flatten().filter(|repo| !overlay.is_new(*repo)) {
            let members = overlay.uses.get(&(repo, *cid));
            // What the group has changed does not count.
            let limit = limit + members.map_or(0, |members| members.changed.len());
            let stored = members.and_then(|members| members.stored.as_ref());
            if stored.is_none_or(|(paths, is_all)| !is_all && paths.len() < limit) {
                self.uses(repo, cid, limit);
            }
        }
    }
}
