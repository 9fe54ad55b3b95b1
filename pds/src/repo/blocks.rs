//! Blocks of one repo in the store, and new ones beside them in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backend_api::tree::{BlockSource, Node};
use backend_api::{Backend, Blocks, Cid, Did, Result};
use bytes::Bytes;
use jacquard_repo::repo::CommitData;
use jacquard_repo::{BlockStore, RepoError};

type IpldCid = ipld_core::cid::Cid;

/// The blocks of a repo in the store.
#[derive(Clone)]
pub struct RepoBlocks {
    backend: Arc<dyn Backend>,
    did: Did,
    which: Blocks,
}

impl RepoBlocks {
    /// Those that a read may see.
    #[must_use]
    pub const fn new(backend: Arc<dyn Backend>, did: Did, which: Blocks) -> Self {
        Self { backend, did, which }
    }
}

#[async_trait]
impl BlockSource for RepoBlocks {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        self.backend.blocks(&self.did, cids, self.which).await
    }
}

/// The same with blocks that are not stored yet: what a tree is changed over. Reads each stored block once.
#[derive(Clone)]
pub struct Overlay<S> {
    stored: S,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    new: BTreeMap<Cid, Bytes>,
    read: BTreeMap<Cid, Bytes>,
    /// Stored nodes that were not read: the subtrees of those that were.
    seen: HashSet<Cid>,
}

impl<S: BlockSource> Overlay<S> {
    /// Over stored blocks.
    pub fn new(stored: S) -> Self {
        Self { stored, state: Arc::default() }
    }

    /// Adds a new block.
    pub fn put(&self, cid: Cid, bytes: Bytes) {
        self.state().new.insert(cid, bytes);
    }

    /// A block that was put or read.
    pub fn known(&self, cid: &Cid) -> Option<Bytes> {
        let state = self.state();
        state.new.get(cid).or_else(|| state.read.get(cid)).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, cid: Cid, bytes: &Bytes) {
        let mut state = self.state();
        if let Ok(node) = Node::decode(&cid, bytes) {
            state.seen.extend((0..=node.entries.len()).filter_map(|index| node.subtree(index)));
        }
        state.read.insert(cid, bytes.clone());
    }
}

#[async_trait]
impl<S: BlockSource> BlockSource for Overlay<S> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        let mut blocks: Vec<Option<Bytes>> = cids.iter().map(|cid| self.known(cid)).collect();
        let unknown: Vec<usize> = (0..cids.len()).filter(|at| blocks[*at].is_none()).collect();
        if unknown.is_empty() {
            return Ok(blocks);
        }
        let asked: Vec<Cid> = unknown.iter().map(|at| cids[*at]).collect();
        for (at, block) in unknown.into_iter().zip(self.stored.blocks(&asked).await?) {
            if let Some(bytes) = &block {
                self.remember(cids[at], bytes);
            }
            blocks[at] = block;
        }
        Ok(blocks)
    }
}

/// What jacquard's tree works over.
impl<S: BlockSource + Clone> BlockStore for Overlay<S> {
    async fn get(&self, cid: &IpldCid) -> jacquard_repo::Result<Option<Bytes>> {
        let cid = from_ipld(cid)?;
        Ok(BlockSource::blocks(self, &[cid]).await.map_err(RepoError::storage)?.pop().flatten())
    }

    async fn put(&self, data: &[u8]) -> jacquard_repo::Result<IpldCid> {
        let cid = Cid::of_block(data);
        Self::put(self, cid, Bytes::copy_from_slice(data));
        to_ipld(&cid)
    }

    /// Asked of nodes that are to be stored. A stored node that the change did not touch hangs from one that was read; any
    /// other is new to this tree, whether or not the store has it elsewhere.
    async fn has(&self, cid: &IpldCid) -> jacquard_repo::Result<bool> {
        let cid = from_ipld(cid)?;
        let state = self.state();
        Ok(state.read.contains_key(&cid) || state.seen.contains(&cid) || state.new.contains_key(&cid))
    }

    async fn put_many(&self, blocks: impl IntoIterator<Item = (IpldCid, Bytes)> + Send) -> jacquard_repo::Result<()> {
        for (cid, bytes) in blocks {
            Self::put(self, from_ipld(&cid)?, bytes);
        }
        Ok(())
    }

    async fn get_many(&self, cids: &[IpldCid]) -> jacquard_repo::Result<Vec<Option<Bytes>>> {
        let cids = cids.iter().map(from_ipld).collect::<jacquard_repo::Result<Vec<Cid>>>()?;
        BlockSource::blocks(self, &cids).await.map_err(RepoError::storage)
    }

    /// Commits go through the store's own `apply`, never through here.
    async fn apply_commit(&self, _: CommitData) -> jacquard_repo::Result<()> {
        Err(RepoError::invalid_commit("commits are not written through a tree's block store"))
    }
}

/// A CID in the form that jacquard has it.
pub(super) fn to_ipld(cid: &Cid) -> jacquard_repo::Result<IpldCid> {
    IpldCid::try_from(cid.to_bytes().as_slice()).map_err(|e| RepoError::invalid_cid(e.to_string()))
}

/// A CID of jacquard's.
pub(super) fn from_ipld(cid: &IpldCid) -> jacquard_repo::Result<Cid> {
    Cid::from_bytes(&cid.to_bytes()).map_err(|e| RepoError::invalid_cid(e.to_string()))
}
