//! Accounts, repos, records, blocks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use backend_api::limits::BLOCKS_ASKED_MAX;
use backend_api::{
    Account, AccountName, Accounts, At, BlockReads, BlockRefs, Blocks, Cid, CommitRow, Did, Error, Link, Nsid, Page,
    Reason, Record, RecordKey, RecordPath, RecordQuery, Records, Repo, RepoId, RepoListing, RepoState, Repos, Result,
    Tid,
};
use bytes::Bytes;

use super::Model;
use super::page::{limit, page};
use super::state::{State, StoredBlock};

#[async_trait]
impl Accounts for Model {
    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let state = self.state()?;
        let did = match name {
            AccountName::Did(did) => Some(did),
            AccountName::Handle(handle) => state.handles.get(handle),
            AccountName::Email(email) => state.emails.get(email),
        };
        Ok(did.and_then(|did| state.accounts.get(did)).cloned())
    }

    async fn accounts(&self, after: Option<&Did>, limit: usize) -> Result<Page<Account, Did>> {
        let state = self.state()?;
        let accounts = state.accounts.iter().filter(|(did, _)| after.is_none_or(|after| *did > after));
        page(accounts.map(|(_, account)| account.clone()), limit, |account| account.did.clone())
    }
}

#[async_trait]
impl Repos for Model {
    async fn repo(&self, did: &Did, at: At) -> Result<Option<RepoState>> {
        let state = self.state()?;
        let Some(repo) = state.served(did) else { return Ok(None) };
        let commits = state.commits_of(repo.id);
        let mut newest_first = commits.into_iter().rev();
        let found = match at {
            At::Head => newest_first.find(|(rev, _)| Some(*rev) == repo.head.map(|head| head.rev)),
            At::Rev(asked) => newest_first.find(|(rev, _)| *rev == asked),
            At::Time(time) => newest_first.find(|(_, row)| row.at <= time),
        };
        Ok(found.map(|(rev, row)| RepoState {
            id: repo.id,
            head: backend_api::Head { cid: row.cid, rev },
            data: row.data,
            at: row.at,
            counters: repo.counters,
        }))
    }

    async fn repos(&self, after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>> {
        let state = self.state()?;
        let accounts = state.accounts.values().filter(|account| after.is_none_or(|after| account.did > *after));
        let listed = accounts.filter_map(|account| {
            let head = state.served(&account.did)?.head?;
            Some(RepoListing { did: account.did.clone(), head, status: account.status })
        });
        page(listed, limit, |listing| listing.did.clone())
    }

    async fn history(&self, did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>> {
        let state = self.state()?;
        let commits = state.served(did).map(|repo| state.commits_of(repo.id)).unwrap_or_default();
        let older = commits.into_iter().rev().filter(|(rev, _)| before.is_none_or(|before| *rev < before));
        page(older.map(|(rev, row)| (rev, row.clone())), limit, |(rev, _)| *rev)
    }
}

#[async_trait]
impl Records for Model {
    async fn record(&self, did: &Did, path: &RecordPath) -> Result<Option<Record>> {
        let state = self.state()?;
        let Some(repo) = state.served(did) else { return Ok(None) };
        state.record_with_block(repo.id, path)
    }

    async fn records(&self, did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>> {
        let state = self.state()?;
        limit(query.limit)?;
        let Some(repo) = state.served(did) else { return Ok(Page { items: Vec::new(), next: None }) };
        let mut found: Vec<(RecordKey, RecordPath)> = Vec::new();
        for path in state.paths_of(repo.id).filter(|path| path.collection() == query.collection.as_str()) {
            found.push((path.rkey().parse()?, path.clone()));
        }
        if query.reverse {
            found.reverse();
        }
        found.retain(|(rkey, _)| match &query.after {
            None => true,
            Some(after) => {
                if query.reverse {
                    rkey < after
                } else {
                    rkey > after
                }
            }
        });
        let keys = page(found, query.limit, |(rkey, _)| rkey.clone())?;
        let mut items = Vec::with_capacity(keys.items.len());
        for (_, path) in keys.items {
            items.extend(state.record_with_block(repo.id, &path)?);
        }
        Ok(Page { items, next: keys.next })
    }

    async fn collections(&self, did: &Did) -> Result<Vec<Nsid>> {
        let state = self.state()?;
        let Some(repo) = state.served(did) else { return Ok(Vec::new()) };
        let names: BTreeSet<&str> = state.paths_of(repo.id).map(RecordPath::collection).collect();
        names.into_iter().map(str::parse).collect()
    }

    async fn linking(&self, did: &Did, collection: &Nsid, link: &Link, asked: usize) -> Result<Vec<RecordPath>> {
        let state = self.state()?;
        let limit = limit(asked)?;
        let Some(repo) = state.served(did) else { return Ok(Vec::new()) };
        let paths = state.links.iter().filter(|(id, found, _)| *id == repo.id && found == link).map(|(.., path)| path);
        Ok(paths.filter(|path| path.collection() == collection.as_str()).take(limit).cloned().collect())
    }
}

#[async_trait]
impl BlockReads for Model {
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
        self.each_block(did, cids, which, |block| block.bytes.clone())
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        self.each_block(did, cids, which, |block| BlockRefs { refs: block.refs, len: block.bytes.len() as u32 })
    }
}

impl Model {
    fn each_block<T>(
        &self,
        did: &Did,
        cids: &[Cid],
        which: Blocks,
        of: impl Fn(&StoredBlock) -> T,
    ) -> Result<Vec<Option<T>>> {
        let state = self.state()?;
        if cids.len() > BLOCKS_ASKED_MAX {
            let detail = format!("cids: {} is more than {BLOCKS_ASKED_MAX}", cids.len());
            return Err(Error::new(Reason::TooLarge, detail));
        }
        let account = state.accounts.get(did);
        let repo = account.and_then(|account| match which {
            Blocks::Live | Blocks::History => account.repo,
            Blocks::Import => account.import,
        });
        let find = |cid: &Cid| {
            let block = state.blocks.get(&(repo?, *cid))?;
            (which != Blocks::Live || block.refs > 0).then(|| of(block))
        };
        Ok(cids.iter().map(find).collect())
    }
}

impl State {
    /// The generation that is served.
    pub(super) fn served(&self, did: &Did) -> Option<&Repo> {
        self.repos.get(&self.accounts.get(did)?.repo?)
    }

    /// The commits of a generation, oldest first.
    pub(super) fn commits_of(&self, repo: RepoId) -> Vec<(Tid, &CommitRow)> {
        let all = (repo, Tid::from_u64(0))..=(repo, Tid::from_u64(u64::MAX));
        self.commits.range(all).map(|((_, rev), row)| (*rev, row)).collect()
    }

    /// The paths of a generation's records, in order.
    pub(super) fn paths_of(&self, repo: RepoId) -> impl Iterator<Item = &RecordPath> {
        self.records.keys().filter(move |(id, _)| *id == repo).map(|(_, path)| path)
    }

    fn record_with_block(&self, repo: RepoId, path: &RecordPath) -> Result<Option<Record>> {
        let Some(row) = self.records.get(&(repo, path.clone())) else { return Ok(None) };
        let block = self.blocks.get(&(repo, row.cid)).ok_or_else(|| {
            Error::new(Reason::DataCorrupt, format!("record {path} of repo {repo}: its block {} is not there", row.cid))
        })?;
        Ok(Some(Record { path: path.clone(), cid: row.cid, bytes: block.bytes.clone() }))
    }
}
