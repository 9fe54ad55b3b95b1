//! What changed between two trees, with its proof.

use std::collections::BTreeSet;

use super::cache::NodeCache;
use super::changes::{Changes, RecordOp, changes_in};
use super::edit::Edit;
use super::node::Node;
use super::proof::proof_nodes;
use super::source::BlockSource;
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// The difference between two trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Nodes that only the new tree has, ordered by CID.
    pub created_nodes: Vec<Cid>,
    /// Nodes that only the old tree has, ordered by CID.
    pub deleted_nodes: Vec<Cid>,
    /// Records that differ, in order of their keys.
    pub record_ops: Vec<RecordOp>,
    /// Nodes of the new tree that prove what it says of the changed keys.
    pub proof_nodes: BTreeSet<Cid>,
    /// Nodes of the new tree that are read when the operations are undone one by one, the last key first: with them
    /// anybody can compute the old root from the new one (Sync 1.1).
    pub inductive_proof_nodes: BTreeSet<Cid>,
}

/// The difference from the tree `old` (`None`: nothing at all, not even an empty root) to the tree `new`, with its
/// proofs. Time, memory and reads grow with the change. For a large change whose proofs nobody wants use
/// [`changes`](super::changes()).
///
/// The operations are undone in memory, and must lead back to `old`: a tree that is not canonical does not pass.
///
/// # Errors
/// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says;
/// [`TooLarge`](crate::Reason::TooLarge) if more than `nodes_max` nodes would have to be read.
pub async fn diff<S: BlockSource>(source: S, old: Option<Cid>, new: Cid, nodes_max: usize) -> Result<Diff> {
    let mut cache = NodeCache::new(source, nodes_max);
    let Changes { created_nodes, deleted_nodes, record_ops } = changes_in(&mut cache, old, new, true).await?;
    if record_ops.is_empty() {
        return Ok(Diff { created_nodes, deleted_nodes, ..Diff::default() });
    }
    let proof_nodes = proof_nodes(&mut cache, new, record_ops.iter().map(|op| &op.path)).await?;
    let inductive_proof_nodes = undo(cache, old, new, &record_ops).await?;
    Ok(Diff { created_nodes, deleted_nodes, record_ops, proof_nodes, inductive_proof_nodes })
}

/// Undoes `ops` on the tree `new`, which must give the tree `old`. The nodes that this reads.
async fn undo<S: BlockSource>(
    cache: NodeCache<S>,
    old: Option<Cid>,
    new: Cid,
    ops: &[RecordOp],
) -> Result<BTreeSet<Cid>> {
    let mut edit = Edit::with_cache(cache, Some(new)).await?;
    for op in ops.iter().rev() {
        let undone = match op.old {
            Some(value) => edit.insert(op.path.clone(), value).await?,
            None => edit.remove(op.path.as_str()).await?,
        };
        if undone != op.new {
            return Err(Error::new(Reason::BadTree, format!("tree {new} does not hold {} where it belongs", op.path)));
        }
    }
    let reads = edit.reads().clone();
    let (root, _) = edit.finish();
    if root == old.unwrap_or_else(|| Cid::of_block(&Node::default().encode())) {
        return Ok(reads);
    }
    let detail = format!("undoing the changes of tree {new} leads to {root}, not to {old:?}: one is not canonical");
    Err(Error::new(Reason::BadTree, detail))
}
