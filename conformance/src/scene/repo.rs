//! A repository kept in memory, which makes valid commits.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::mutation::RecordOp;
use backend_api::mutation::RepoCommit;
use backend_api::tree::{self, BlockMap, CommitBlock, Key};
use backend_api::{Block, Cid, Did, Head, IdempotencyKey, Mutation, Op, RecordPath, Tid};
use bytes::Bytes;
use futures::FutureExt as _;

use super::names::Content;

/// What a commit does to one record.
#[derive(Debug, Clone)]
pub enum Write {
    /// Creates or updates.
    Put(RecordPath, Content),
    /// Deletes.
    Delete(RecordPath),
}

/// A repository as its owner's host has it.
#[derive(Debug, Clone)]
pub struct SceneRepo {
    /// Whose.
    pub did: Did,
    /// The commit.
    pub head: Option<Head>,
    /// The root of the tree.
    pub data: Option<Cid>,
    /// The records.
    pub records: BTreeMap<RecordPath, Content>,
    /// The nodes of the tree.
    pub nodes: BlockMap,
    /// The commit block.
    pub commit: Bytes,
}

/// A commit that was made and may be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The operation.
    pub commit: RepoCommit,
    /// The blocks that it needs.
    pub blocks: Vec<Block>,
    /// The repository after it.
    pub after: SceneRepo,
}

impl SceneRepo {
    /// A repository without a commit.
    #[must_use]
    pub fn new(did: Did) -> Self {
        Self { did, head: None, data: None, records: BTreeMap::new(), nodes: BlockMap::new(), commit: Bytes::new() }
    }

    /// A commit over this state, announced.
    #[must_use]
    pub fn draft(&self, writes: &[Write]) -> Draft {
        self.draft_signed(writes, b"a signature")
    }

    /// The same, with another signature and so another CID: for two commits that compete.
    #[must_use]
    pub fn draft_signed(&self, writes: &[Write], sig: &[u8]) -> Draft {
        let rev = self.head.map_or(Tid::new(1_700_000_000_000_000, 0), |head| Tid::from_u64(head.rev.as_u64() + 1024));
        self.draft_at(writes, sig, rev)
    }

    /// The same, with a rev of the caller's choice.
    #[must_use]
    pub fn draft_at(&self, writes: &[Write], sig: &[u8], rev: Tid) -> Draft {
        let mut after = self.clone();
        let mut records = Vec::new();
        for write in writes {
            records.push(after.write(write));
        }
        after.sign(sig, rev);
        let head = after.head.expect("it was signed");
        let data = after.data.expect("it was signed");
        let created: Vec<Cid> = missing(&after.nodes, &self.nodes).collect();
        let added = std::iter::once(head.cid).chain(created.iter().copied()).collect();
        let removed = self.head.map(|head| head.cid).into_iter().chain(missing(&self.nodes, &after.nodes)).collect();
        let mut carried = created;
        let keys: Vec<Key> = records.iter().map(|op| Key::from(&op.path)).collect();
        let proof = tree::covering_nodes(&after.nodes, data, &keys).now_or_never();
        carried.extend(proof.expect("a source in memory never waits").expect("the tree is whole"));
        carried.extend(records.iter().filter_map(|op| op.new));
        let mut seen = BTreeSet::new();
        carried.retain(|cid| seen.insert(*cid));
        let mut blocks = vec![Block::claimed(head.cid, after.commit.clone())];
        blocks.extend(carried.iter().map(|cid| Block::claimed(*cid, after.block(cid))));
        let commit = RepoCommit { expected: self.head, head, data, added, removed, records, announce: Some(carried) };
        Draft { commit, blocks, after }
    }

    /// The bytes of a node or record.
    fn block(&self, cid: &Cid) -> Bytes {
        let record = || self.records.values().find(|content| content.cid == *cid).map(|content| content.bytes.clone());
        self.nodes.get(cid).cloned().or_else(record).expect("a block of this repo")
    }

    fn write(&mut self, write: &Write) -> RecordOp {
        let (path, new) = match write {
            Write::Put(path, content) => (path, Some(content)),
            Write::Delete(path) => (path, None),
        };
        let old = match new {
            Some(content) => self.records.insert(path.clone(), content.clone()),
            None => self.records.remove(path),
        };
        RecordOp {
            path: path.clone(),
            old: old.map(|content| content.cid),
            new: new.map(|content| content.cid),
            blobs: new.map(|content| content.blobs.clone()).unwrap_or_default(),
            links: new.map(|content| content.links.clone()).unwrap_or_default(),
        }
    }

    /// Builds the tree anew and puts a commit over it.
    pub fn sign(&mut self, sig: &[u8], rev: Tid) {
        let (data, nodes) = tree::build(self.records.iter().map(|(path, content)| (Key::from(path), content.cid)));
        let block =
            CommitBlock { did: self.did.clone(), version: 3, data, rev, prev: None, sig: sig.to_vec() }.encode();
        self.commit = block.into();
        self.head = Some(Head { cid: Cid::of_block(&self.commit), rev });
        self.data = Some(data);
        self.nodes = nodes;
    }

    /// All blocks but the commit's, each once: what an import brings.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: BTreeMap<Cid, Bytes> = self.nodes.iter().map(|(cid, bytes)| (*cid, bytes.clone())).collect();
        blocks.extend(self.records.values().map(|content| (content.cid, content.bytes.clone())));
        blocks.into_iter().map(|(cid, bytes)| Block::claimed(cid, bytes)).collect()
    }

    /// The commit's block.
    ///
    /// # Panics
    /// If there is no commit.
    #[must_use]
    pub fn commit_block(&self) -> Block {
        Block::claimed(self.head.expect("a commit").cid, self.commit.clone())
    }

    /// References to each block, counted from the root: what a store must hold.
    #[must_use]
    pub fn recount(&self) -> BTreeMap<Cid, u64> {
        let mut refs = BTreeMap::new();
        let cids = self.head.iter().map(|head| head.cid).chain(self.nodes.iter().map(|(cid, _)| *cid));
        for cid in cids.chain(self.records.values().map(|content| content.cid)) {
            *refs.entry(cid).or_default() += 1;
        }
        refs
    }
}

impl Draft {
    /// As an operation.
    #[must_use]
    pub fn op(&self) -> Op {
        Op::Commit(Box::new(self.commit.clone()))
    }

    /// Not announced.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.commit.announce = None;
        self
    }

    /// As a mutation of its own.
    #[must_use]
    pub fn mutation(&self, key: IdempotencyKey) -> Mutation {
        Mutation { did: self.after.did.clone(), key, ops: vec![self.op()], blocks: self.blocks.clone() }
    }
}

/// The nodes that another tree does not have.
fn missing(nodes: &BlockMap, of: &BlockMap) -> impl Iterator<Item = Cid> {
    nodes.iter().map(|(cid, _)| *cid).filter(|cid| of.get(cid).is_none())
}
