use async_trait::async_trait;
use backend_api::{Account, At, Blocks, CommitRow, Did, Head, Page, Repo, RepoListing, RepoState, Repos, Result, Tid};

use super::{Tranquil, page};
use crate::core::Shared;
use crate::format::key::{self, Space};
use crate::format::value;
use crate::meta::Scan;

/// Commits read at a time when one is looked for by time.
const HISTORY_STEP: usize = 256;

#[async_trait]
impl Repos for Tranquil {
    async fn repo(&self, did: &Did, at: At) -> Result<Option<RepoState>> {
        let Some(id) = self.shared.generation(did, Blocks::Live)? else { return Ok(None) };
        let Some(repo) = self.shared.repo_of(id)? else { return Ok(None) };
        let Some(head) = repo.head else { return Ok(None) };
        let found = match at {
            At::Head => commit(&self.shared, &repo, head.rev)?,
            At::Rev(rev) => commit(&self.shared, &repo, rev)?,
            At::Time(time) => {
                let repo = repo.clone();
                self.read(move |shared| newest_before(shared, &repo, time.0)).await?
            }
        };
        Ok(found.map(|(rev, row)| RepoState {
            id,
            head: Head { cid: row.cid, rev },
            data: row.data,
            at: row.at,
            counters: repo.counters,
        }))
    }

    async fn repos(&self, after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>> {
        let limit = page(limit)?;
        let after = after.map(key::account);
        self.read(move |shared| listing(shared, after, limit)).await
    }

    async fn history(&self, did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>> {
        let limit = page(limit)?;
        let did = did.clone();
        self.read(move |shared| {
            let Some(id) = shared.generation(&did, Blocks::Live)? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
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

fn commit(shared: &Shared, repo: &Repo, rev: Tid) -> Result<Option<(Tid, CommitRow)>> {
    Ok(shared.value(&key::commit(repo.id, rev), "commit")?.map(|row| (rev, row)))
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
