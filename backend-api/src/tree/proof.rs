//! Which nodes prove what a tree says of some keys.

use std::collections::{BTreeMap, BTreeSet};

use super::cache::NodeCache;
use super::key::Key;
use super::node::Node;
use super::place::Place;
use super::source::BlockSource;
use crate::cid::Cid;
use crate::error::Result;

/// The nodes that a commit over the tree `root` shows to prove its operations on `keys` and to let anybody invert them:
/// the way to each key, whether it is there or not, and from a key that is there the ways to its neighbours, as the
/// reference implementation sends them. Holds all of [`inductive_proof_nodes`](super::Diff::inductive_proof_nodes), and
/// now and then a node more, which is what consumers have come to expect.
///
/// Reads one layer in one batch.
///
/// # Errors
/// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says.
pub async fn covering_nodes<S: BlockSource>(
    source: S,
    root: Cid,
    keys: impl IntoIterator<Item = &Key>,
) -> Result<BTreeSet<Cid>> {
    let goals = keys.into_iter().map(|key| Goal::Covering(key.as_str())).collect();
    descend(&mut NodeCache::new(source, usize::MAX), root, goals).await
}

/// The nodes on the ways to `keys`. If a key belongs to a layer above the root, the root alone proves that it is not
/// there; otherwise a proof of absence goes down to where no subtree is left.
pub(super) async fn proof_nodes<S: BlockSource>(
    cache: &mut NodeCache<S>,
    root: Cid,
    keys: impl IntoIterator<Item = &Key>,
) -> Result<BTreeSet<Cid>> {
    let (_, top) = cache.node(root, Place::root()).await?;
    let (below, above): (Vec<&Key>, Vec<&Key>) = keys.into_iter().partition(|key| key.layer() <= top);
    let goals = below.iter().map(|key| Goal::Key(key.as_str())).collect();
    let mut nodes = descend(cache, root, goals).await?;
    if !above.is_empty() {
        nodes.insert(root);
    }
    Ok(nodes)
}

/// What a way down looks for.
#[derive(Clone, Copy)]
enum Goal<'k> {
    /// A key; ends where it is found.
    Key(&'k str),
    /// A key; goes on to the keys before and after it.
    Covering(&'k str),
    /// The first key of a subtree.
    First,
    /// The last key of a subtree.
    Last,
}

impl Goal<'_> {
    /// The subtrees of `node` to go on in.
    fn next_in(self, node: &Node) -> [Option<(usize, Self)>; 2] {
        match self {
            Self::Key(key) => match node.find(key) {
                Ok(_) => [None, None],
                Err(index) => [Some((index, self)), None],
            },
            Self::Covering(key) => match node.find(key) {
                Ok(index) => [Some((index, Self::Last)), Some((index + 1, Self::First))],
                Err(index) => [Some((index, self)), None],
            },
            Self::First => [Some((0, self)), None],
            Self::Last => [Some((node.entries.len(), self)), None],
        }
    }
}

/// Goes down from `root` towards all goals at once, layer by layer. Gives the nodes that it met.
async fn descend<S: BlockSource>(cache: &mut NodeCache<S>, root: Cid, goals: Vec<Goal<'_>>) -> Result<BTreeSet<Cid>> {
    let mut met = BTreeSet::new();
    let mut layer = if goals.is_empty() { vec![] } else { vec![((root, Place::root()), goals)] };
    while !layer.is_empty() {
        let (wanted, goals): (Vec<_>, Vec<_>) = layer.into_iter().unzip();
        let nodes = cache.nodes(&wanted, |_| true).await?;
        layer = Vec::new();
        for (((cid, place), goals), (node, height)) in wanted.into_iter().zip(goals).zip(nodes) {
            met.insert(cid);
            let mut below: BTreeMap<usize, Vec<Goal<'_>>> = BTreeMap::new();
            for (index, goal) in goals.into_iter().flat_map(|goal| goal.next_in(&node)).flatten() {
                below.entry(index).or_default().push(goal);
            }
            let subtrees = place.subtrees(height, &node);
            layer.extend(subtrees.filter_map(|(index, cid, place)| Some(((cid, place), below.remove(&index)?))));
        }
    }
    Ok(met)
}
