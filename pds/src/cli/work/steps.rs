//! The mutations that bring a CAR file's tree into a new generation of a repo.

use std::collections::HashSet;

use backend_api::mutation::{ImportTree, RecordOp};
use backend_api::{Block, Cid, Mutation, Op, RecordPath, RepoId, Result};

use super::car_file::{CarFile, Found};
use super::file_tree::{FileTree, Reached};
use super::references;
use crate::env::idempotency_key;

/// Bytes of blocks after which a step is full. One block more may be in it.
const STEP_BYTES: usize = 1 << 20;

/// Blocks of one step at the most.
const STEP_BLOCKS_MAX: usize = 1_000;

/// The steps of one import, each of bounded size.
pub struct Steps<'a> {
    car: &'a CarFile,
    tree: FileTree<'a>,
    import: RepoId,
    counts: Counts,
    /// The file's entries that the tree reached, a bit each.
    reached: Vec<u64>,
}

/// What the steps so far brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tree nodes.
    pub nodes: u64,
    /// Records.
    pub records: u64,
    /// Blocks: a record that stands under two keys is one.
    pub blocks: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl<'a> Steps<'a> {
    /// The steps that fill the generation `import`.
    #[must_use]
    pub fn new(car: &'a CarFile, import: RepoId) -> Self {
        let reached = vec![0; (car.entries() as usize).div_ceil(64)];
        Self { car, tree: FileTree::new(car), import, counts: Counts::default(), reached }
    }

    /// What was given out so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The next step; `None` at the end. Holds only blocks that the tree reaches: what else is in the file is left out.
    ///
    /// # Errors
    /// What [`FileTree::next`] says; [`backend_api::Reason::BadRequest`] for a record that is not DAG-CBOR.
    pub fn next(&mut self) -> Result<Option<Mutation>> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut supplied: HashSet<Cid> = HashSet::new();
        let mut step = ImportTree { import: self.import, nodes: Vec::new(), records: Vec::new() };
        let mut bytes = 0;
        while bytes < STEP_BYTES && step.nodes.len() + step.records.len() < STEP_BLOCKS_MAX {
            let Some(reached) = self.tree.next()? else { break };
            let (cid, block) = match reached {
                Reached::Node { cid, block } => {
                    step.nodes.push(cid);
                    self.counts.nodes += 1;
                    (cid, block)
                }
                Reached::Record { path, cid, block } => {
                    step.records.push(self.record(path, cid, &block)?);
                    self.counts.records += 1;
                    (cid, block)
                }
            };
            self.count(&block);
            if supplied.insert(cid) {
                bytes += block.bytes.len();
                blocks.push(Block::claimed(cid, block.bytes));
            }
        }
        if step.nodes.is_empty() && step.records.is_empty() {
            return Ok(None);
        }
        let did = self.car.commit().did.clone();
        Ok(Some(Mutation { did, key: idempotency_key(), ops: vec![Op::ImportTree(step)], blocks }))
    }

    fn record(&self, path: RecordPath, cid: Cid, block: &Found) -> Result<RecordOp> {
        let found = references::of(&block.bytes).map_err(|e| {
            e.context(format_args!("{}: byte {}: record {path} ({cid})", self.car.name(), block.offset))
        })?;
        Ok(RecordOp { path, old: None, new: Some(cid), blobs: found.blobs, links: found.links })
    }

    fn count(&mut self, block: &Found) {
        let (word, bit) = (block.slot / 64, 1 << (block.slot % 64));
        if self.reached[word] & bit == 0 {
            self.reached[word] |= bit;
            self.counts.blocks += 1;
            self.counts.bytes += block.bytes.len() as u64;
        }
    }
}
