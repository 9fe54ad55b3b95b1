//! Walks over a whole tree, from left to right, in bounded memory.

use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;

use super::key::Key;
use super::preorder::{Preorder, Step, Wanted};
use super::source::{BlockSource, missing};
use crate::cid::Cid;
use crate::error::Result;

/// The records of a tree in order of their keys: key and CID, without their blocks.
pub struct Walk<S>(Preorder<S>);

/// The records of the tree `root` with keys greater than `after`, which need not be there: a walk that was broken off
/// goes on from its last key.
pub fn walk<S: BlockSource>(source: S, root: Cid, after: Option<Key>) -> Walk<S> {
    Walk(Preorder::new(source, root, Wanted::Keys, after))
}

impl<S: BlockSource> Walk<S> {
    /// The next record.
    ///
    /// # Errors
    /// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says.
    pub async fn next(&mut self) -> Result<Option<(Key, Cid)>> {
        match self.0.next().await? {
            None => Ok(None),
            Some(Step::Record { key, cid, .. }) => Ok(Some((key, cid))),
            Some(Step::Node { cid, .. } | Step::Missing { cid }) => Err(missing(&cid)),
        }
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<(Key, Cid)>> {
        try_unfold(self, |mut walk| async { Ok(walk.next().await?.map(|record| (record, walk))) })
    }
}

/// The blocks of a tree, nodes and records, as an export sends them.
pub struct Nodes<S>(Preorder<S>);

/// Every block of the tree `root`, in the order in which a reader of the stream can follow the tree: a node, its left
/// subtree, then for each of its entries the record and the subtree right of it. A block that the tree refers to twice
/// comes twice. Read in batches.
pub fn nodes<S: BlockSource>(source: S, root: Cid) -> Nodes<S> {
    Nodes(Preorder::new(source, root, Wanted::Blocks, None))
}

impl<S: BlockSource> Nodes<S> {
    /// The next block.
    ///
    /// # Errors
    /// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says.
    pub async fn next(&mut self) -> Result<Option<(Cid, Bytes)>> {
        match self.0.next().await? {
            None => Ok(None),
            Some(Step::Node { cid, block } | Step::Record { cid, block, .. }) => Ok(Some((cid, block))),
            Some(Step::Missing { cid }) => Err(missing(&cid)),
        }
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<(Cid, Bytes)>> {
        try_unfold(self, |mut nodes| async { Ok(nodes.next().await?.map(|block| (block, nodes))) })
    }
}
