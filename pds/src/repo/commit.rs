//! Signed commits, and the mutations that make them real.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::mutation::{RecordOp, RepoCommit};
use backend_api::tree::{self, BlockSource, CommitBlock, Key};
use backend_api::{Block, Cid, Did, Error, Head, Mutation, Op, Reason, RecordPath, Result, Tid, limits};

use super::blocks::Overlay;
use super::record::NewRecord;
use super::tids;
use crate::env;
use crate::identity::keys::Keypair;

/// Version of the repository format.
const VERSION: u64 = 3;

/// What a commit changes.
pub(super) struct Change<'a> {
    /// Whose repo.
    pub did: &'a Did,
    /// The head and the tree that it is built on.
    pub head: Head,
    /// The root of that tree.
    pub data: Cid,
    /// The root of the new tree, whose new nodes are in the overlay.
    pub new_data: Cid,
    /// The records that were written, by path.
    pub records: BTreeMap<RecordPath, NewRecord>,
}

/// A commit that is ready for the store.
pub(super) struct Ready {
    pub head: Head,
    pub mutation: Mutation,
}

/// Builds and signs the commit. `None` if the trees are the same.
///
/// What changed is not taken from the request but read off the two trees by [`tree::diff`], which also takes the change
/// back, and so finds out if the new tree is not the one canonical tree of its records.
pub(super) async fn build<S: BlockSource + Clone>(
    change: Change<'_>,
    key: &Keypair,
    overlay: &Overlay<S>,
) -> Result<Option<Ready>> {
    let diff = tree::diff(overlay, Some(change.data), change.new_data, limits::NODES_MAX).await?;
    if diff.record_ops.is_empty() {
        return Ok(None);
    }
    let rev = Tid::next_after(change.head.rev, env::now().0);
    let rev =
        rev.ok_or_else(|| Error::new(Reason::RevNotIncreasing, format!("no rev is after {}", change.head.rev)))?;
    let (head, commit) = sign(key, change.did, rev, change.new_data);
    let mut blocks = BTreeMap::from([(commit.cid(), commit)]);
    let mut records = Vec::with_capacity(diff.record_ops.len());
    let mut written = change.records;
    for op in &diff.record_ops {
        let path = RecordPath::try_from(&op.path)?;
        let new = written.remove(&path).filter(|record| Some(record.block.cid()) == op.new);
        let (blobs, links) = match new {
            Some(record) => {
                blocks.insert(record.block.cid(), record.block);
                (record.blobs, record.links)
            }
            None if op.new.is_none() => (Vec::new(), Vec::new()),
            None => return Err(Error::new(Reason::BadTree, format!("the new tree has another record at {path}"))),
        };
        records.push(RecordOp { path, old: op.old, new: op.new, blobs, links });
    }
    let keys: Vec<&Key> = diff.record_ops.iter().map(|op| &op.path).collect();
    let mut nodes = tree::covering_nodes(overlay, change.new_data, keys).await?;
    nodes.extend(diff.created_nodes.iter().chain(&diff.inductive_proof_nodes));
    for cid in &nodes {
        let bytes = overlay.known(cid).ok_or_else(|| Error::new(Reason::BlockMissing, format!("tree node {cid}")))?;
        blocks.insert(*cid, Block::claimed(*cid, bytes));
    }
    let new_records: BTreeSet<Cid> = records.iter().filter_map(|op| op.new).collect();
    let commit = RepoCommit {
        expected: Some(change.head),
        head,
        data: change.new_data,
        added: with(diff.created_nodes, head.cid),
        removed: with(diff.deleted_nodes, change.head.cid),
        records,
        announce: Some(nodes.into_iter().chain(new_records).collect()),
    };
    let mutation = Mutation {
        did: change.did.clone(),
        key: env::idempotency_key(),
        ops: vec![Op::Commit(Box::new(commit))],
        blocks: blocks.into_values().collect(),
    };
    Ok(Some(Ready { head, mutation }))
}

/// The first commit of a repo: no record yet. The commit block stands first among the blocks.
#[must_use]
pub fn genesis(did: &Did, key: &Keypair) -> (RepoCommit, Vec<Block>) {
    let root = Block::new(tree::Node::default().encode().into());
    let (head, commit) = sign(key, did, tids::first(), root.cid());
    let op = RepoCommit {
        expected: None,
        head,
        data: root.cid(),
        added: vec![root.cid(), head.cid],
        removed: Vec::new(),
        records: Vec::new(),
        announce: Some(vec![root.cid()]),
    };
    (op, vec![commit, root])
}

fn sign(key: &Keypair, did: &Did, rev: Tid, data: Cid) -> (Head, Block) {
    let mut commit = CommitBlock { did: did.clone(), version: VERSION, data, rev, prev: None, sig: Vec::new() };
    commit.sig = key.sign(&commit.unsigned_bytes()).to_vec();
    let block = Block::new(commit.encode().into());
    (Head { cid: block.cid(), rev }, block)
}

fn with(mut cids: Vec<Cid>, one_more: Cid) -> Vec<Cid> {
    cids.push(one_more);
    cids
}
