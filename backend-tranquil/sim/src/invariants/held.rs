//! *No dangling CID; counts equal a recount.* Everything that a repo's head leads to is stored, with exactly as many
//! references as lead to it.
//!
//! Why: a commit is planned only if each CID that it refers to is supplied or held, and counts change by exactly what the
//! commit adds and removes. Here nothing is asked of the engine but a snapshot: trees are walked and references counted
//! by this file.

use std::collections::BTreeMap;

use backend_api::tree::{self, BlockMap};
use backend_api::{Cid, Repo, RepoId, Snapshot, SnapshotItem};
use bytes::Bytes;
use futures::FutureExt as _;

use super::{Held, Violation};

#[derive(Default)]
struct Found {
    counts: BTreeMap<Cid, u64>,
    blocks: Vec<(Cid, Bytes)>,
    records: BTreeMap<String, Cid>,
}

fn violation(what: String) -> Violation {
    Violation::new("held", what)
}

/// All items of a snapshot against each other.
///
/// # Errors
/// For a CID without its block, a count that is not the recount, a record that is not in its tree or the other way.
pub fn check(items: &[SnapshotItem]) -> Held {
    let mut generations: BTreeMap<RepoId, Found> = BTreeMap::new();
    let mut served: Vec<&Repo> = Vec::new();
    let accounts: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            SnapshotItem::Account(account) => account.repo,
            _ => None,
        })
        .collect();
    for item in items {
        match item {
            SnapshotItem::Repo(repo) if accounts.contains(&repo.id) => served.push(repo),
            SnapshotItem::Block { repo, cid, refs, bytes, .. } => {
                let found = generations.entry(*repo).or_default();
                found.counts.insert(*cid, *refs);
                found.blocks.push((*cid, bytes.clone()));
            }
            SnapshotItem::Record(repo, path, row) => {
                generations.entry(*repo).or_default().records.insert(path.as_str().to_owned(), row.cid);
            }
            _ => {}
        }
    }
    for repo in served {
        let found = generations.remove(&repo.id).unwrap_or_default();
        generation(repo, found)?;
    }
    Ok(())
}

fn generation(repo: &Repo, found: Found) -> Held {
    let (Some(head), Some(data)) = (repo.head, repo.data) else { return Ok(()) };
    let mut recount: BTreeMap<Cid, u64> = BTreeMap::from([(head.cid, 1)]);
    let blocks: BlockMap = found.blocks.into_iter().collect();
    let wrong = |e: backend_api::Error| violation(format!("{}: {e}", repo.did));
    let walked = async {
        let mut nodes = tree::nodes(&blocks, data);
        // Nodes and records, each once.
        let mut reached = Vec::new();
        while let Some((cid, _)) = nodes.next().await.map_err(wrong)? {
            reached.push(cid);
        }
        let mut records = BTreeMap::new();
        let mut walk = tree::walk(&blocks, data, None);
        while let Some((key, cid)) = walk.next().await.map_err(wrong)? {
            *recount.entry(cid).or_default() += 1;
            let path = backend_api::RecordPath::try_from(&key).map_err(wrong)?;
            records.insert(path.as_str().to_owned(), cid);
        }
        for cid in reached {
            recount.entry(cid).or_insert(1);
        }
        Ok(records)
    };
    let records = walked.now_or_never().expect("a source in memory never waits")?;
    if records != found.records {
        return Err(violation(format!("{}: the records are not those of the tree", repo.did)));
    }
    for (cid, counted) in &recount {
        match found.counts.get(cid) {
            None => return Err(violation(format!("{}: block {cid} dangles", repo.did))),
            Some(refs) if refs != counted => {
                return Err(violation(format!(
                    "{}: block {cid} has {refs} references, {counted} lead to it",
                    repo.did
                )));
            }
            Some(_) => {}
        }
    }
    let idle = found.counts.iter().find(|(cid, refs)| **refs > 0 && !recount.contains_key(cid));
    match idle {
        Some((cid, refs)) => {
            Err(violation(format!("{}: block {cid} has {refs} references, none leads to it", repo.did)))
        }
        None => Ok(()),
    }
}

/// All items of a snapshot.
///
/// # Errors
/// The store's.
pub async fn items(snapshot: Snapshot) -> backend_api::Result<Vec<SnapshotItem>> {
    use futures::StreamExt as _;
    let mut stream = snapshot.items;
    let mut out = Vec::new();
    while let Some(item) = stream.next().await {
        out.push(item?);
    }
    Ok(out)
}
