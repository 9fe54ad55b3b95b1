//! Where the blocks of a tree come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// A store of blocks, asked in batches so that it can answer one layer of a tree in one call.
///
/// The bytes must be those of the CID: a source that is not sure hashes them. Only [`check`](super::check) hashes what it
/// is given.
#[async_trait]
pub trait BlockSource: Send + Sync {
    /// One answer for each CID, in their order; `None` for a block that is not there.
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>>;
}

#[async_trait]
impl<S: BlockSource + ?Sized> BlockSource for &S {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        (**self).blocks(cids).await
    }
}

#[async_trait]
impl<S: BlockSource + ?Sized> BlockSource for Arc<S> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        (**self).blocks(cids).await
    }
}

/// Blocks in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockMap(BTreeMap<Cid, Bytes>);

impl BlockMap {
    /// No blocks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a block under its own CID, which is returned.
    pub fn put(&mut self, block: impl Into<Bytes>) -> Cid {
        let block = block.into();
        let cid = Cid::of_block(&block);
        self.0.insert(cid, block);
        cid
    }

    /// Adds a block under a CID that the caller vouches for.
    pub fn insert(&mut self, cid: Cid, block: Bytes) {
        self.0.insert(cid, block);
    }

    /// Takes a block away.
    pub fn remove(&mut self, cid: &Cid) -> Option<Bytes> {
        self.0.remove(cid)
    }

    /// The block of a CID.
    #[must_use]
    pub fn get(&self, cid: &Cid) -> Option<&Bytes> {
        self.0.get(cid)
    }

    /// All blocks, in the order of their CIDs.
    pub fn iter(&self) -> impl Iterator<Item = (&Cid, &Bytes)> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<(Cid, Bytes)> for BlockMap {
    fn extend<I: IntoIterator<Item = (Cid, Bytes)>>(&mut self, blocks: I) {
        self.0.extend(blocks);
    }
}

impl FromIterator<(Cid, Bytes)> for BlockMap {
    fn from_iter<I: IntoIterator<Item = (Cid, Bytes)>>(blocks: I) -> Self {
        Self(blocks.into_iter().collect())
    }
}

impl IntoIterator for BlockMap {
    type Item = (Cid, Bytes);
    type IntoIter = std::collections::btree_map::IntoIter<Cid, Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[async_trait]
impl BlockSource for BlockMap {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        Ok(cids.iter().map(|cid| self.0.get(cid).cloned()).collect())
    }
}

/// What is said of a block that its tree needs and the source does not have.
pub(super) fn missing(cid: &Cid) -> Error {
    Error::new(Reason::BlockMissing, format!("block {cid} is not there, and its tree needs it"))
}

/// Asks the source, and holds it to its contract.
pub(super) async fn fetch<S: BlockSource + ?Sized>(source: &S, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
    let blocks = source.blocks(cids).await?;
    if blocks.len() == cids.len() {
        return Ok(blocks);
    }
    let detail = format!("a block source answered {} blocks with {}", cids.len(), blocks.len());
    Err(Error::new(Reason::ReadFailed, detail))
}

/// One block that has to be there.
pub(super) async fn fetch_one<S: BlockSource + ?Sized>(source: &S, cid: &Cid) -> Result<Bytes> {
    fetch(source, std::slice::from_ref(cid)).await?.pop().flatten().ok_or_else(|| missing(cid))
}
