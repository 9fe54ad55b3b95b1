use async_trait::async_trait;
use backend_api::{
    AccountId, Blob, Blobs, Blocks, Cid, Did, Micros, MissingBlob, Page, RecordPath, RepoId, Result, View as _,
};

use super::{Tranquil, page};
use crate::core::Shared;
use crate::format::key::{self, Space, after_prefix};
use crate::format::value;
use crate::meta::Scan;

/// Blobs read at a time when unused ones are looked for.
const STEP: usize = 256;

#[async_trait]
impl Blobs for Tranquil {
    async fn blob(&self, did: &Did, cid: &Cid) -> Result<Option<Blob>> {
        let (did, cid) = (did.clone(), *cid);
        self.point(move |layers| match layers.account(&did)? {
            Some(account) => layers.blob(account.id, &cid),
            None => Ok(None),
        })
        .await
    }

    async fn blobs(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<Blob, Cid>> {
        let limit = page(limit)?;
        let (did, after) = (did.clone(), after.copied());
        self.read(move |shared| {
            let Some(account) = shared.account_of(&did)? else { return Ok(Page { items: Vec::new(), next: None }) };
            let (items, more) = blobs(shared, account.id, after, limit)?;
            let next = items.last().filter(|_| more).map(|b| b.cid);
            Ok(Page { items, next })
        })
        .await
    }

    async fn blob_uses(&self, did: &Did, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
        let limit = page(limit)?;
        let cid = *cid;
        self.read_repo(did, Blocks::Live, Vec::new, move |shared, repo| uses(shared, repo, &cid, limit)).await
    }

    async fn blobs_missing(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>> {
        let limit = page(limit)?;
        let (did, after) = (did.clone(), after.copied());
        self.read(move |shared| missing(shared, &did, after, limit)).await
    }

    async fn blobs_unused(&self, did: &Did, put_before: Micros, limit: usize) -> Result<Vec<Blob>> {
        let limit = page(limit)?;
        let did = did.clone();
        self.read(move |shared| {
            let Some(account) = shared.account_of(&did)? else { return Ok(Vec::new()) };
            let mut out = Vec::new();
            let mut after = None;
            loop {
                let (found, more) = blobs(shared, account.id, after, STEP)?;
                after = found.last().map(|b| b.cid);
                for blob in found {
                    let mut used = false;
                    for repo in [account.repo, account.import].into_iter().flatten() {
                        used |= !uses(shared, repo, &blob.cid, 1)?.is_empty();
                    }
                    if blob.at < put_before && !used {
                        out.push(blob);
                    }
                    if out.len() == limit {
                        return Ok(out);
                    }
                }
                if !more {
                    return Ok(out);
                }
            }
        })
        .await
    }
}

fn blobs(shared: &Shared, account: AccountId, after: Option<Cid>, limit: usize) -> Result<(Vec<Blob>, bool)> {
    let prefix = key::numbered(Space::Blob, account.0);
    let (found, more) = shared.scan(&Scan::prefix(prefix, limit).after(after.map(|cid| key::blob(account, &cid))))?;
    Ok((found.iter().map(|(_, v)| value::decode(v, "blob")).collect::<Result<_>>()?, more))
}

fn uses(shared: &Shared, repo: RepoId, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
    let (found, _) = shared.scan(&Scan::prefix(key::blob_uses(repo, cid), limit))?;
    found.iter().map(|(k, _)| Ok(key::read_blob_use(k)?.1)).collect()
}

fn missing(shared: &Shared, did: &Did, after: Option<Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>> {
    let mut items: Vec<MissingBlob> = Vec::new();
    let account = shared.account_of(did)?;
    let Some((account, repo)) = account.and_then(|a| Some((a.id, a.repo?))) else {
        return Ok(Page { items, next: None });
    };
    let mut what = Scan::prefix(key::numbered(Space::BlobUse, repo.0), 1);
    if let Some(behind) = after.and_then(|cid| after_prefix(&key::blob_uses(repo, &cid))) {
        what.from = std::ops::Bound::Included(behind);
    }
    // From the first use of a blob straight to what comes behind its last.
    while let Some((k, _)) = shared.scan(&what)?.0.into_iter().next() {
        let (cid, path) = key::read_blob_use(&k)?;
        if shared.get(&key::blob(account, &cid))?.is_none() {
            if items.len() == limit {
                let next = items.last().map(|m| m.cid);
                return Ok(Page { items, next });
            }
            items.push(MissingBlob { cid, path });
        }
        match after_prefix(&key::blob_uses(repo, &cid)) {
            Some(behind) => what.from = std::ops::Bound::Included(behind),
            None => break,
        }
    }
    Ok(Page { items, next: None })
}
