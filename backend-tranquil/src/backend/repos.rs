use async_trait::async_trait;
use backend_api::{
    Account, At, Blocks, CommitRow, Did, Head, Page, Repo, RepoListing, RepoState, Repos, Result, Tid, View as _,
};

use super::{Tranquil, page};
use crate::core::{Fetched, Shared, generation_in};
use crate::format::key::{self, Space};
use crate::format::value;
use crate::meta::{Layers, Scan};

/// Commits read at a time when one is looked for by time.
const HISTORY_STEP: usize = 256;

#[async_trait]
impl Repos for Tranquil {
    async fn repo(&self, did: &Did, at: At) -> Result<Option<RepoState>> {
        let did = did.clone();
        match at {
            At::Head => self.point(move |layers| state_at(layers, &did, None)).await,
            At::Rev(rev) => self.point(move |layers| state_at(layers, &did, Some(rev))).await,
            At::Time(time) => self.read(move |shared| state_before(shared, &did, time.0)).await,
        }
    }

    async fn repos(&self, after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>> {
        let limit = page(limit)?;
        let after = after.map(key::account);
        self.read(move |shared| listing(shared, after, limit)).await
    }

    async fn history(&self, did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>> {
        let limit = page(limit)?;
        let none = || Page { items: Vec::new(), next: None };
        self.read_repo(did, Blocks::Live, none, move |shared, id| {
            let what = Scan::prefix(key::numbered(Space::Commit, id.0), limit)
                .reversed(true)
                .after(before.map(|rev| key::commit(id, rev)));
            let (found, more) = shared.scan(&what)?;
            let items = commits(&found)?;
            let next = items.last().filter(|_| more).map(|(rev, _)| *rev);
            Ok(Page { items, next })
        })
        .await
    }
}

/// The repo that an account serves, if it has a head, in one state.
fn served(layers: &Layers<'_>, did: &Did) -> Result<Option<(Repo, Tid)>> {
    let Some(id) = generation_in(layers, did, Blocks::Live)? else { return Ok(None) };
    Ok(layers.repo(id)?.and_then(|repo| repo.head.map(|head| head.rev).map(|rev| (repo, rev))))
}

/// A repo at a revision, or at its head, in one state.
fn state_at(layers: &Layers<'_>, did: &Did, rev: Option<Tid>) -> Result<Option<RepoState>> {
    let Some((repo, head)) = served(layers, did)? else { return Ok(None) };
    let rev = rev.unwrap_or(head);
    let row: Option<CommitRow> = layers.value(&key::commit(repo.id, rev), "commit")?;
    Ok(row.map(|row| state(&repo, rev, &row)))
}

fn state(repo: &Repo, rev: Tid, row: &CommitRow) -> RepoState {
    RepoState { id: repo.id, head: Head { cid: row.cid, rev }, data: row.data, at: row.at, counters: repo.counters }
}

/// A repo at a time. Its commits are looked through step by step: done again if there is another head at the end.
fn state_before(shared: &Shared, did: &Did, time: u64) -> Result<Option<RepoState>> {
    let served = |layers: &Layers<'_>| served(layers, did);
    loop {
        let Some((repo, head)) = shared.point(&served, Fetched::default())? else { return Ok(None) };
        let found = newest_before(shared, &repo, time)?;
        let after = shared.point(&served, Fetched::default())?;
        if after.is_some_and(|(after, rev)| (after.id, rev) == (repo.id, head)) {
            return Ok(found.map(|(rev, row)| state(&repo, rev, &row)));
        }
    }
}

fn commits(found: &[(bytes::Bytes, bytes::Bytes)]) -> Result<Vec<(Tid, CommitRow)>> {
    found.iter().map(|(k, v)| Ok((key::read_commit(k)?.1, value::decode(v, "commit")?))).collect()
}

fn newest_before(shared: &Shared, repo: &Repo, time: u64) -> Result<Option<(Tid, CommitRow)>> {
    let mut before = None;
    loop {
        let what = Scan::prefix(key::numbered(Space::Commit, repo.id.0), HISTORY_STEP).reversed(true).after(before);
        let (found, more) = shared.scan(&what)?;
        let commits = commits(&found)?;
        before = commits.last().map(|(rev, _)| key::commit(repo.id, *rev));
        let first = commits.into_iter().find(|(_, row)| row.at.0 <= time);
        if first.is_some() || !more {
            return Ok(first);
        }
    }
}

fn listing(shared: &Shared, mut after: Option<key::Key>, limit: usize) -> Result<Page<RepoListing, Did>> {
    let mut items: Vec<RepoListing> = Vec::new();
    loop {
        let what = Scan::prefix(key::space(Space::Account), limit + 1 - items.len()).after(after);
        let (found, more) = shared.scan(&what)?;
        after = found.last().map(|(key, _)| key.to_vec());
        for (_, bytes) in &found {
            let account: Account = value::decode(bytes, "account")?;
            let repo = account.repo.map(|id| shared.repo_of(id)).transpose()?.flatten();
            if let Some(head) = repo.and_then(|repo| repo.head) {
                items.push(RepoListing { did: account.did, head, status: account.status });
            }
        }
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|r| r.did.clone());
            return Ok(Page { items, next });
        }
        if !more {
            return Ok(Page { items, next: None });
        }
    }
}
