//! The state as the operations before have left it, and what they changed.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::check::Checked;
use crate::cid::Cid;
use crate::effect::{Effect, Sweep};
use crate::error::{Error, Reason, Result};
use crate::ids::{Did, RecordPath, Tid};
use crate::mutation::{Event, Stamp};
use crate::number::RepoId;
use crate::repo::{Blob, CommitRow, Link, RecordRow, Repo};
use crate::row::{Row, RowKey};
use crate::view::View;

/// References to one block that a mutation adds and takes away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RefChange {
    pub plus: u64,
    pub minus: u64,
    pub supplied: Option<usize>,
}

pub(super) struct Draft<'a, V: ?Sized> {
    pub view: &'a V,
    pub checked: &'a Checked,
    pub stamp: Stamp,
    pub account: Option<Account>,
    pub account_before: Option<Account>,
    repos: BTreeMap<RepoId, Repo>,
    pub blocks: BTreeMap<(RepoId, Cid), RefChange>,
    pub records: BTreeMap<(RepoId, RecordPath), Option<RecordRow>>,
    pub commits: Vec<(RepoId, Tid, CommitRow)>,
    pub blobs: BTreeMap<Cid, Option<Blob>>,
    /// By blob, so that what became of one is found without going through all.
    pub blob_uses: BTreeMap<(RepoId, Cid), BTreeMap<RecordPath, bool>>,
    pub links: BTreeMap<(RepoId, Link, RecordPath), bool>,
    rows: BTreeMap<RowKey, Option<Row>>,
    pub sweeps: Vec<Sweep>,
    pub events: Vec<Event>,
    pub taken: Vec<Row>,
}

impl<'a, V: View + ?Sized> Draft<'a, V> {
    pub fn new(view: &'a V, checked: &'a Checked, stamp: Stamp) -> Result<Self> {
        let account = view.account(&checked.mutation().did)?;
        Ok(Self {
            view,
            checked,
            stamp,
            account_before: account.clone(),
            account,
            repos: BTreeMap::new(),
            blocks: BTreeMap::new(),
            records: BTreeMap::new(),
            commits: Vec::new(),
            blobs: BTreeMap::new(),
            blob_uses: BTreeMap::new(),
            links: BTreeMap::new(),
            rows: BTreeMap::new(),
            sweeps: Vec::new(),
            events: Vec::new(),
            taken: Vec::new(),
        })
    }

    pub fn did(&self) -> &'a Did {
        &self.checked.mutation().did
    }

    pub fn account(&mut self) -> Result<&mut Account> {
        let did = self.did();
        self.account.as_mut().ok_or_else(|| Error::new(Reason::AccountMissing, format!("no account {did}")))
    }

    /// A generation, with what this mutation did to it.
    pub fn repo(&self, id: RepoId) -> Result<Repo> {
        let stored = match self.repos.get(&id) {
            Some(repo) => Some(repo.clone()),
            None => self.view.repo(id)?,
        };
        stored.ok_or_else(|| Error::new(Reason::RepoMissing, format!("no repo generation {id}")))
    }

    pub fn set_repo(&mut self, repo: Repo) {
        self.repos.insert(repo.id, repo);
    }

    /// True if this mutation began the generation, so that the store has nothing of it.
    pub fn is_new(&self, id: RepoId) -> bool {
        id.0 == self.stamp.pos.0
    }

    /// A row as stored, with what this mutation did to it, expired or not.
    pub fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.view.row(key),
        }
    }

    pub fn set_row(&mut self, key: RowKey, row: Option<Row>) {
        self.rows.insert(key, row);
    }

    /// Rows of the kind that this mutation put or deleted.
    pub fn touched_rows(&self) -> impl Iterator<Item = (&RowKey, &Option<Row>)> {
        self.rows.iter()
    }

    /// Turns the difference between before and after into effects.
    pub fn finish(mut self) -> Result<(Vec<Effect>, Vec<Event>, Vec<Row>)> {
        let mut out = Vec::with_capacity(8 + self.blocks.len() + self.records.len());
        self.finish_account(&mut out);
        for (id, repo) in std::mem::take(&mut self.repos) {
            out.push(Effect::Repo(id, Some(repo)));
        }
        for ((repo, cid), change) in std::mem::take(&mut self.blocks) {
            let delta = change.plus as i64 - change.minus as i64;
            let released = change.minus > 0;
            out.push(Effect::Block { repo, cid, delta, supplied: change.supplied, released });
        }
        for ((repo, path), row) in std::mem::take(&mut self.records) {
            out.push(Effect::Record(repo, path, row));
        }
        for (repo, rev, row) in std::mem::take(&mut self.commits) {
            out.push(Effect::Commit(repo, rev, row));
        }
        if let Some(account) = self.account_before.as_ref().or(self.account.as_ref()).map(|a| a.id) {
            for (cid, blob) in std::mem::take(&mut self.blobs) {
                out.push(Effect::Blob(account, cid, blob));
            }
        }
        for ((repo, cid), uses) in std::mem::take(&mut self.blob_uses) {
            out.extend(uses.into_iter().map(|(path, there)| Effect::BlobUse(repo, cid, path, there)));
        }
        for ((repo, link, path), there) in std::mem::take(&mut self.links) {
            out.push(Effect::Link(repo, link, path, there));
        }
        self.finish_rows(&mut out)?;
        for sweep in std::mem::take(&mut self.sweeps) {
            out.push(Effect::Sweep(sweep, self.stamp.at));
        }
        Ok((out, self.events, self.taken))
    }

    fn finish_account(&self, out: &mut Vec<Effect>) {
        let (before, after) = (&self.account_before, &self.account);
        if before == after {
            return;
        }
        out.push(Effect::Account(self.did().clone(), after.clone()));
        let handles = (before.as_ref().and_then(|a| a.handle.clone()), after.as_ref().and_then(|a| a.handle.clone()));
        if handles.0 != handles.1 {
            out.extend(handles.0.map(|h| Effect::Handle(h, None)));
            out.extend(handles.1.map(|h| Effect::Handle(h, Some(self.did().clone()))));
        }
        let emails = (before.as_ref().and_then(|a| a.email.clone()), after.as_ref().and_then(|a| a.email.clone()));
        if emails.0 != emails.1 {
            out.extend(emails.0.map(|e| Effect::Email(e, None)));
            out.extend(emails.1.map(|e| Effect::Email(e, Some(self.did().clone()))));
        }
    }

    /// Index entries are worked out from the row before and the row after, here only.
    fn finish_rows(&mut self, out: &mut Vec<Effect>) -> Result<()> {
        // Deletions first: a unique value may pass from one row to another within the mutation.
        let rows = std::mem::take(&mut self.rows);
        let mut puts = Vec::new();
        for (key, after) in rows {
            let before = self.view.row(&key)?;
            if before == after {
                continue;
            }
            if let Some(old) = &before {
                super::row::indexes(old, false, out);
            }
            puts.push((key, after));
        }
        for (key, after) in puts {
            if let Some(new) = &after {
                super::row::indexes(new, true, out);
            }
            out.push(Effect::Row(key, after));
        }
        Ok(())
    }
}
