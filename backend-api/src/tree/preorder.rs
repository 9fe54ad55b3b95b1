//! A tree's nodes and records from left to right, read ahead in batches.

use bytes::Bytes;

use super::key::Key;
use super::node::Node;
use super::place::Place;
use super::source::{BlockSource, fetch};
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// Blocks asked for in one call.
const BATCH_BLOCKS_MAX: usize = 64;

/// What is read ahead may hold about this much, in bytes; where blocks are large, batches become smaller.
const AHEAD_BYTES_MAX: usize = 8 << 20;

/// What a walk does with blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Reads the nodes for their keys; leaves the records alone.
    Keys,
    /// Reads everything, and hands it out.
    Blocks,
    /// Reads everything, and compares it with its CIDs.
    Verified,
}

/// One step of the walk.
#[derive(Debug)]
pub(super) enum Step {
    /// A node; it comes before all that is below it.
    Node { cid: Cid, block: Bytes },
    /// A record. Its block is empty if only keys are wanted.
    Record { key: Key, cid: Cid, block: Bytes },
    /// A node or record that the source does not have. What is below it is left out.
    Missing { cid: Cid },
}

/// What is still to come.
enum Pending {
    Subtree(Cid, Place),
    Record(Key, Cid),
    Ready(Step),
}

/// The walk. Order: a node, its left subtree, then for each entry its record and the subtree right of it, so that a
/// reader of the stream can follow the tree with a stack.
///
/// Memory: one stack of what is still to come, which is as long as the nodes on one way down and those of one batch for
/// each layer have entries; of blocks, what was read ahead.
pub(super) struct Preorder<S> {
    source: S,
    wanted: Wanted,
    after: Option<Key>,
    /// The next one last.
    pending: Vec<Pending>,
    /// Bytes of the blocks in `pending`.
    ahead_bytes: usize,
    block_bytes_max: usize,
}

impl<S: BlockSource> Preorder<S> {
    /// Walks `root`; leaves out the records up to and including `after`, and the subtrees that hold no others.
    pub(super) fn new(source: S, root: Cid, wanted: Wanted, after: Option<Key>) -> Self {
        let pending = vec![Pending::Subtree(root, Place::root())];
        Self { source, wanted, after, pending, ahead_bytes: 0, block_bytes_max: 1 }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            match self.pending.pop() {
                None => return Ok(None),
                Some(Pending::Ready(step)) => {
                    if let Step::Node { block, .. } | Step::Record { block, .. } = &step {
                        self.ahead_bytes -= block.len();
                    }
                    return Ok(Some(step));
                }
                Some(Pending::Record(key, cid)) if self.wanted == Wanted::Keys => {
                    return Ok(Some(Step::Record { key, cid, block: Bytes::new() }));
                }
                Some(unread) => {
                    self.pending.push(unread);
                    self.read_ahead().await?;
                }
            }
        }
    }

    /// Reads the next blocks that are pending.
    async fn read_ahead(&mut self) -> Result<()> {
        let room_bytes = AHEAD_BYTES_MAX.saturating_sub(self.ahead_bytes);
        let batch_max = (room_bytes / self.block_bytes_max).clamp(1, BATCH_BLOCKS_MAX);
        let mut cids = Vec::with_capacity(batch_max);
        let mut start = self.pending.len();
        while start > 0 && cids.len() < batch_max {
            start -= 1;
            match &self.pending[start] {
                Pending::Subtree(cid, _) => cids.push(*cid),
                Pending::Record(_, cid) if self.wanted != Wanted::Keys => cids.push(*cid),
                _ => {}
            }
        }
        let blocks = fetch(&self.source, &cids).await?;
        // The stack has the next one last, the answers have it first.
        let mut blocks = blocks.into_iter().rev();
        for pending in self.pending.split_off(start) {
            match pending {
                Pending::Subtree(cid, place) => match blocks.next().flatten() {
                    Some(block) => self.push_node(cid, &place, block)?,
                    None => self.pending.push(Pending::Ready(Step::Missing { cid })),
                },
                Pending::Record(key, cid) if self.wanted != Wanted::Keys => match blocks.next().flatten() {
                    Some(block) => {
                        self.verify(&cid, &block)?;
                        self.count_ahead(&block);
                        self.pending.push(Pending::Ready(Step::Record { key, cid, block }));
                    }
                    None => self.pending.push(Pending::Ready(Step::Missing { cid })),
                },
                ready => self.pending.push(ready),
            }
        }
        Ok(())
    }

    /// Puts a node and what is below it on the stack.
    fn push_node(&mut self, cid: Cid, place: &Place, block: Bytes) -> Result<()> {
        self.verify(&cid, &block)?;
        let node = Node::decode(&cid, &block)?;
        let layer = place.check(&cid, &node)?;
        let is_wanted = |key: &Key| self.after.as_ref().is_none_or(|after| key > after);
        let mut subtrees = place.subtrees(layer, &node).rev().peekable();
        // From the last entry to the first. A subtree has wanted keys only if the entry on its right is wanted.
        for index in (0..=node.entries.len()).rev() {
            if let Some((_, cid, place)) = subtrees.next_if(|(subtree, ..)| *subtree == index) {
                self.pending.push(Pending::Subtree(cid, place));
            }
            let Some(entry) = index.checked_sub(1).and_then(|entry| node.entries.get(entry)) else { break };
            if !is_wanted(&entry.key) {
                break;
            }
            self.pending.push(Pending::Record(entry.key.clone(), entry.value));
        }
        if self.wanted != Wanted::Keys {
            self.count_ahead(&block);
            self.pending.push(Pending::Ready(Step::Node { cid, block }));
        }
        Ok(())
    }

    fn verify(&self, cid: &Cid, block: &[u8]) -> Result<()> {
        if self.wanted == Wanted::Verified && !cid.matches(block) {
            let detail = format!("the {} bytes that came for block {cid} do not hash to it", block.len());
            return Err(Error::new(Reason::HashMismatch, detail));
        }
        Ok(())
    }

    /// Counts a block among those read ahead.
    fn count_ahead(&mut self, block: &[u8]) {
        self.ahead_bytes += block.len();
        self.block_bytes_max = self.block_bytes_max.max(block.len());
    }
}
