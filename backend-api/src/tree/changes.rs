//! What changed between two trees.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::cache::NodeCache;
use super::key::Key;
use super::place::Place;
use super::source::BlockSource;
use crate::cid::Cid;
use crate::error::Result;

/// What happened to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordOp {
    /// Its key.
    pub path: Key,
    /// Its CID before; `None` if it was created.
    pub old: Option<Cid>,
    /// Its CID after; `None` if it was deleted.
    pub new: Option<Cid>,
}

/// The nodes and records in which two trees differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Nodes that only the new tree has, ordered by CID.
    pub created_nodes: Vec<Cid>,
    /// Nodes that only the old tree has, ordered by CID.
    pub deleted_nodes: Vec<Cid>,
    /// Records that differ, in order of their keys.
    pub record_ops: Vec<RecordOp>,
}

/// The changes from the tree `old` (`None`: nothing at all, not even an empty root) to the tree `new`.
///
/// Reads the nodes in which the trees differ, each once, one layer of both trees in one batch, and nothing else: a
/// subtree that both have stands on the same layer in both, so it is seen to be equal before it is read. Only a root
/// that is a subtree of the other tree is read in vain. Memory and time grow with the change, not with the trees.
///
/// # Errors
/// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says;
/// [`TooLarge`](crate::Reason::TooLarge) if more than `nodes_max` nodes would have to be read.
pub async fn changes<S: BlockSource>(source: S, old: Option<Cid>, new: Cid, nodes_max: usize) -> Result<Changes> {
    changes_in(&mut NodeCache::new(source, nodes_max), old, new, false).await
}

/// As [`changes`]; keeps the created nodes in the cache if `keep` is set.
pub(super) async fn changes_in<S: BlockSource>(
    cache: &mut NodeCache<S>,
    old: Option<Cid>,
    new: Cid,
    keep: bool,
) -> Result<Changes> {
    if old == Some(new) {
        return Ok(Changes::default());
    }
    let mut sides = [Side::default(), Side::default()];
    // The layer of a root is known only once it is read. It is kept, for its layer's turn.
    for (side, root) in sides.iter_mut().zip([old, Some(new)]) {
        if let Some(root) = root {
            let (_, layer) = cache.node(root, Place::root()).await?;
            side.layers.entry(layer).or_default().insert(root, Place::root());
        }
    }
    while let Some(layer) = sides.iter().filter_map(|side| side.layers.keys().next_back()).max().copied() {
        let [old, new] = sides.each_mut().map(|side| side.layers.remove(&layer).unwrap_or_default());
        let is_shared = |cid: &Cid| old.contains_key(cid) && new.contains_key(cid);
        let wanted: Vec<(Cid, Place)> = old
            .iter()
            .chain(&new)
            .filter(|(cid, _)| !is_shared(cid))
            .map(|(cid, place)| (*cid, place.clone()))
            .collect();
        let nodes = cache.nodes(&wanted, |cid| keep && new.contains_key(cid)).await?;
        for ((cid, place), (node, layer)) in wanted.into_iter().zip(nodes) {
            let side = &mut sides[usize::from(new.contains_key(&cid))];
            side.nodes.insert(cid);
            side.records.extend(node.entries.iter().map(|entry| (entry.key.clone(), entry.value)));
            for (_, cid, place) in place.subtrees(layer, &node) {
                side.layers.entry(layer - 1).or_default().insert(cid, place);
            }
        }
    }
    let [old, new] = sides;
    Ok(Changes {
        created_nodes: new.nodes.into_iter().collect(),
        deleted_nodes: old.nodes.into_iter().collect(),
        record_ops: compare(old.records, new.records),
    })
}

/// One of the two trees, as far as it differs from the other.
#[derive(Default)]
struct Side {
    /// Subtrees still to be compared, by layer.
    layers: BTreeMap<u32, BTreeMap<Cid, Place>>,
    nodes: BTreeSet<Cid>,
    /// The records of `nodes`. Some are in both trees, in different nodes.
    records: BTreeMap<Key, Cid>,
}

fn compare(old: BTreeMap<Key, Cid>, new: BTreeMap<Key, Cid>) -> Vec<RecordOp> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut ops = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return ops,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let (old, new) = (before.as_ref().map(|(_, cid)| *cid), after.as_ref().map(|(_, cid)| *cid));
        if let Some((path, _)) = before.or(after)
            && old != new
        {
            ops.push(RecordOp { path, old, new });
        }
    }
}
