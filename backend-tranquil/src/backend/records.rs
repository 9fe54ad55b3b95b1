use async_trait::async_trait;
use backend_api::{
    Blocks, Did, Error, Link, Nsid, Page, Reason, Record, RecordKey, RecordPath, RecordQuery, RecordRow, Records,
    RepoId, Result,
};

use super::{Tranquil, page};
use crate::core::Shared;
use crate::format::key::{self, Key, Space, after_prefix};
use crate::format::value;
use crate::meta::Scan;

#[async_trait]
impl Records for Tranquil {
    async fn record(&self, did: &Did, path: &RecordPath) -> Result<Option<Record>> {
        let Some(repo) = self.shared.generation(did, Blocks::Live)? else { return Ok(None) };
        let row: Option<RecordRow> = self.shared.value(&key::record(repo, path), "record")?;
        row.map(|row| record(&self.shared, repo, path.clone(), &row)).transpose()
    }

    async fn records(&self, did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>> {
        let limit = page(query.limit)?;
        let (did, query) = (did.clone(), query.clone());
        self.read(move |shared| {
            let Some(repo) = shared.generation(&did, Blocks::Live)? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let after = query.after.map(|rkey| key::record(repo, &RecordPath::new(&query.collection, &rkey)));
            let prefix = key::collection(repo, query.collection.as_str());
            let (found, more) = shared.scan(&Scan::prefix(prefix, limit).reversed(query.reverse).after(after))?;
            let mut items = Vec::with_capacity(found.len());
            for (k, v) in &found {
                let row: RecordRow = value::decode(v, "record")?;
                items.push(record(shared, repo, key::read_record(k)?.1, &row)?);
            }
            let next = items.last().filter(|_| more).map(|r| r.path.rkey().parse()).transpose()?;
            Ok(Page { items, next })
        })
        .await
    }

    async fn collections(&self, did: &Did) -> Result<Vec<Nsid>> {
        let did = did.clone();
        self.read(move |shared| {
            let Some(repo) = shared.generation(&did, Blocks::Live)? else { return Ok(Vec::new()) };
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
        let (did, collection, link) = (did.clone(), collection.clone(), link.clone());
        self.read(move |shared| {
            let Some(repo) = shared.generation(&did, Blocks::Live)? else { return Ok(Vec::new()) };
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

fn record(shared: &Shared, repo: RepoId, path: RecordPath, row: &RecordRow) -> Result<Record> {
    let block = shared.block_of(repo, &row.cid, Blocks::History)?;
    let bytes = block.ok_or_else(|| {
        Error::new(Reason::DataCorrupt, format!("record {path}: block {} is not there; its row is", row.cid))
    })?;
    Ok(Record { path, cid: row.cid, bytes })
}
