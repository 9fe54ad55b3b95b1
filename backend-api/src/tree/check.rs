//! Checking a tree from its root to its last record.

use super::preorder::{Preorder, Step, Wanted};
use super::source::BlockSource;
use crate::cid::Cid;
use crate::error::Result;

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Nodes that are there.
    pub nodes: u64,
    /// Records that are there; one that is held under two keys counts twice.
    pub records: u64,
    /// Bytes of those nodes and records.
    pub bytes: u64,
    /// Nodes and records that are not there, the first [`Checked::MISSING_MAX`] of them, in the order of the tree. What is
    /// below a missing node is not known.
    pub missing: Vec<Cid>,
    /// How many are not there.
    pub missing_count: u64,
}

impl Checked {
    /// The most CIDs that are listed as missing.
    pub const MISSING_MAX: usize = 1000;

    /// True if nothing is missing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing_count == 0
    }
}

/// Reads the whole tree and checks that each block hashes to its CID and each node is canonical in itself and in its
/// place: keys well-formed, compressed, ascending throughout, each on its own layer; no empty node but the root of an
/// empty tree; no root without records over a subtree. There is one such tree for a set of records, so two that pass
/// with the same records have the same root.
///
/// # Errors
/// [`HashMismatch`](crate::Reason::HashMismatch) and [`BadTree`](crate::Reason::BadTree) at the first fault, naming the
/// block; what the source says. Blocks that are not there are no error, but listed.
pub async fn check<S: BlockSource>(source: S, root: Cid) -> Result<Checked> {
    let mut steps = Preorder::new(source, root, Wanted::Verified, None);
    let mut checked = Checked::default();
    while let Some(step) = steps.next().await? {
        match step {
            Step::Node { block, .. } => {
                checked.nodes += 1;
                checked.bytes += block.len() as u64;
            }
            Step::Record { block, .. } => {
                checked.records += 1;
                checked.bytes += block.len() as u64;
            }
            Step::Missing { cid } => {
                checked.missing_count += 1;
                if checked.missing.len() < Checked::MISSING_MAX {
                    checked.missing.push(cid);
                }
            }
        }
    }
    Ok(checked)
}
