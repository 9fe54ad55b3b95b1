//! Blobs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use backend_api::{Blob, Blobs, Cid, Did, Micros, MissingBlob, Page, RecordPath, RepoId, Result};

use super::Model;
use super::page::{limit, page};
use super::state::State;

#[async_trait]
impl Blobs for Model {
    async fn blob(&self, did: &Did, cid: &Cid) -> Result<Option<Blob>> {
        let state = self.state()?;
        Ok(state.blobs_of(did).find(|blob| blob.cid == *cid).cloned())
    }

    async fn blobs(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<Blob, Cid>> {
        let state = self.state()?;
        let blobs = state.blobs_of(did).filter(|blob| after.is_none_or(|after| blob.cid > *after));
        page(blobs.cloned(), limit, |blob| blob.cid)
    }

    async fn blob_uses(&self, did: &Did, cid: &Cid, asked: usize) -> Result<Vec<RecordPath>> {
        let state = self.state()?;
        let limit = limit(asked)?;
        let Some(repo) = state.served(did) else { return Ok(Vec::new()) };
        Ok(state.uses_of(repo.id, cid).take(limit).cloned().collect())
    }

    async fn blobs_missing(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>> {
        let state = self.state()?;
        let there: BTreeSet<Cid> = state.blobs_of(did).map(|blob| blob.cid).collect();
        let repo = state.served(did).map(|repo| repo.id);
        let mut first: BTreeMap<Cid, RecordPath> = BTreeMap::new();
        for (_, cid, path) in state.blob_uses.iter().filter(|(id, ..)| Some(*id) == repo) {
            if !there.contains(cid) && after.is_none_or(|after| cid > after) {
                first.entry(*cid).or_insert_with(|| path.clone());
            }
        }
        page(first.into_iter().map(|(cid, path)| MissingBlob { cid, path }), limit, |missing| missing.cid)
    }

    async fn blobs_unused(&self, did: &Did, put_before: Micros, asked: usize) -> Result<Vec<Blob>> {
        let state = self.state()?;
        let limit = limit(asked)?;
        let Some(account) = state.accounts.get(did) else { return Ok(Vec::new()) };
        let generations: Vec<RepoId> = [account.repo, account.import].into_iter().flatten().collect();
        let uses = state.blob_uses.iter().filter(|(id, ..)| generations.contains(id));
        let used: BTreeSet<Cid> = uses.map(|(_, cid, _)| *cid).collect();
        let unused = state.blobs_of(did).filter(|blob| blob.at < put_before && !used.contains(&blob.cid));
        Ok(unused.take(limit).cloned().collect())
    }
}

impl State {
    /// The blobs of an account, by CID.
    fn blobs_of(&self, did: &Did) -> impl Iterator<Item = &Blob> {
        let account = self.accounts.get(did).map(|account| account.id);
        self.blobs.iter().filter(move |((id, _), _)| Some(*id) == account).map(|(_, blob)| blob)
    }

    /// The records of a generation that refer to a blob, by path.
    pub(super) fn uses_of(&self, repo: RepoId, cid: &Cid) -> impl Iterator<Item = &RecordPath> {
        let cid = *cid;
        self.blob_uses.iter().filter(move |(id, used, _)| (*id, *used) == (repo, cid)).map(|(.., path)| path)
    }
}
