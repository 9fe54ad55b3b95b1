use async_trait::async_trait;
use backend_api::{
    Blocks, Cid, Did, Error, Link, Nsid, Page, Reason, Record, RecordKey, RecordPath, RecordQuery, RecordRow, Records,
    RepoId, Result, View as _,
};

use super::{Tranquil, page};
use crate::core::{Fetched, Shared, generation_in, place_in};
use crate::format::key::{self, Key, Space, after_prefix};
use crate::format::value::{self, Place};
use crate::meta::{Layers, Scan};

#[async_trait]
impl Records for Tranquil {
    async fn record(&self, did: &Did, path: &RecordPath) -> Result<Option<Record>> {
        let (did, at) = (did.clone(), path.clone());
        let read = move |layers: &Layers<'_>| match generation_in(layers, &did, Blocks::Live)? {
            Some(repo) => Ok(vec![record_in(layers, repo, &at)?]),
            None => Ok(Vec::new()),
        };
        let found = self.point_blocks(read).await?.pop().flatten();
        Ok(found.map(|(cid, bytes)| Record { path: path.clone(), cid, bytes }))
    }

    async fn records(&self, did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>> {
        let limit = page(query.limit)?;
        let query = query.clone();
        let none = || Page { items: Vec::new(), next: None };
        self.read_repo(did, Blocks::Live, none, move |shared, repo| records(shared, repo, &query, limit)).await
    }

    async fn collections(&self, did: &Did) -> Result<Vec<Nsid>> {
        self.read_repo(did, Blocks::Live, Vec::new, |shared, repo| {
            let mut out: Vec<Nsid> = Vec::new();
            let mut what = Scan::prefix(key::numbered(Space::Record, repo.0), 1);
            // From the first record of a collection straight to what comes behind its last.
            while let (Some((k, _)), _) = shared.scan(&what).map(|(found, more)| (found.into_iter().next(), more))? {
                let path = key::read_record(&k)?.1;
                let behind: Option<Key> = after_prefix(&key::collection(repo, path.collection()));
                out.push(path.collection().parse()?);
                match behind {
                    Some(key) => what.from = std::ops::Bound::Included(key),
                    None => break,
                }
            }
            // Paths have a `/` behind the collection, which is not the order of the collections by themselves.
            out.sort_unstable();
            Ok(out)
        })
        .await
    }

    async fn linking(&self, did: &Did, collection: &Nsid, link: &Link, limit: usize) -> Result<Vec<RecordPath>> {
        let limit = page(limit)?;
        let (collection, link) = (collection.clone(), link.clone());
        self.read_repo(did, Blocks::Live, Vec::new, move |shared, repo| {
            let prefix = key::links(repo, collection.as_str(), &link);
            let at = prefix.len();
            let (found, _) = shared.scan(&Scan::prefix(prefix, limit))?;
            let rkey = |k: &[u8]| std::str::from_utf8(&k[at..]).ok().and_then(|k| k.parse::<RecordKey>().ok());
            let bad = || Error::new(Reason::DataCorrupt, "metadata: a key is no link key");
            found.iter().map(|(k, _)| Ok(RecordPath::new(&collection, &rkey(k).ok_or_else(bad)?))).collect()
        })
        .await
    }
}

fn records(shared: &Shared, repo: RepoId, query: &RecordQuery, limit: usize) -> Result<Page<Record, RecordKey>> {
    let prefix = key::collection(repo, query.collection.as_str());
    let mut after = query.after.as_ref().map(|rkey| key::record(repo, &RecordPath::new(&query.collection, rkey)));
    let mut items: Vec<Record> = Vec::new();
    loop {
        let what = Scan::prefix(prefix.clone(), limit - items.len()).reversed(query.reverse).after(after);
        let (found, more) = shared.scan(&what)?;
        after = found.last().map(|(key, _)| key.to_vec());
        for (k, v) in &found {
            let row: RecordRow = value::decode(v, "record")?;
            items.extend(listed(shared, repo, key::read_record(k)?.1, &row)?);
        }
        if !more || items.len() == limit {
            let next = items.last().filter(|_| more).map(|r| r.path.rkey().parse()).transpose()?;
            return Ok(Page { items, next });
        }
    }
}

/// A record whose row was listed. Its block may have been released and forgotten since: then the row is another one, or
/// gone, and that is what counts.
fn listed(shared: &Shared, repo: RepoId, path: RecordPath, row: &RecordRow) -> Result<Option<Record>> {
    let listed = |layers: &Layers<'_>| place_in(layers, repo, &row.cid, Blocks::History);
    let now = |layers: &Layers<'_>| record_in(layers, repo, &path);
    let found = match shared.point(&listed, Fetched::default())? {
        Some(found) => Some(found),
        None => shared.point(&now, Fetched::default())?,
    };
    let Some((cid, place)) = found else { return Ok(None) };
    Ok(Some(Record { path, cid, bytes: shared.block(place, &cid)? }))
}

/// Where a record's block is, in one state: there a row has its block.
fn record_in(layers: &Layers<'_>, repo: RepoId, path: &RecordPath) -> Result<Option<(Cid, Place)>> {
    let Some(row) = layers.record(repo, path)? else { return Ok(None) };
    let missing =
        || Error::new(Reason::DataCorrupt, format!("record {path}: block {} is not there; its row is", row.cid));
    place_in(layers, repo, &row.cid, Blocks::History)?.ok_or_else(missing).map(Some)
}
