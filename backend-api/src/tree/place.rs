//! Where in the tree a node stands, and so what it may hold.

use super::key::Key;
use super::node::Node;
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// What is known of a node before it is read: its layer, and the keys that it stands between. A chain of places starts
/// at the root and goes down one layer a step, so no tree is deeper than [`LAYER_MAX`](super::LAYER_MAX) + 1 nodes.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// `None` for the root, whose layer its keys say.
    layer: Option<u32>,
    after: Option<Key>,
    before: Option<Key>,
}

impl Place {
    /// The place of a tree's root.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The layer, if it is known: of every place but the root's.
    #[must_use]
    pub const fn layer(&self) -> Option<u32> {
        self.layer
    }

    /// Checks that `node` may stand here, and gives its layer.
    ///
    /// # Errors
    /// [`Reason::BadTree`] with the rule that it breaks.
    pub fn check(&self, cid: &Cid, node: &Node) -> Result<u32> {
        let bad = |why: String| Err(Error::new(Reason::BadTree, format!("tree node {cid} {why}")));
        let layer = match (self.layer, node.entries.first()) {
            (None, Some(first)) => first.key.layer(),
            (None, None) if node.is_empty() => 0,
            (None, None) => return bad("is a root without entries over a subtree".into()),
            (Some(_), None) if node.is_empty() => return bad("is empty, and no root".into()),
            (Some(layer), None) => layer,
            (Some(layer), Some(first)) if first.key.layer() == layer => layer,
            (Some(layer), Some(first)) => {
                return bad(format!("is on layer {layer} and holds {} of layer {}", first.key, first.key.layer()));
            }
        };
        if layer == 0 && (node.left.is_some() || node.entries.iter().any(|entry| entry.right.is_some())) {
            return bad("is on layer 0 and has a subtree".into());
        }
        let (first, last) = (node.entries.first(), node.entries.last());
        if let (Some(after), Some(first)) = (&self.after, first)
            && first.key <= *after
        {
            return bad(format!("holds {} but stands after {after}", first.key));
        }
        if let (Some(before), Some(last)) = (&self.before, last)
            && last.key >= *before
        {
            return bad(format!("holds {} but stands before {before}", last.key));
        }
        Ok(layer)
    }

    /// The place of a subtree of a node that stands here, on `layer`, between two of its keys. Without a key on one side
    /// this place's own bound holds there.
    #[must_use]
    pub fn below(&self, layer: u32, after: Option<&Key>, before: Option<&Key>) -> Self {
        Self {
            // Layer 0 has no subtrees, `check` says so.
            layer: Some(layer.saturating_sub(1)),
            after: after.or(self.after.as_ref()).cloned(),
            before: before.or(self.before.as_ref()).cloned(),
        }
    }

    /// Every subtree of `node`, which stands here on `layer`, with its index and its place, in order.
    pub fn subtrees<'a>(
        &'a self,
        layer: u32,
        node: &'a Node,
    ) -> impl DoubleEndedIterator<Item = (usize, Cid, Self)> + 'a {
        let key = |index: usize| node.entries.get(index).map(|entry| &entry.key);
        (0..=node.entries.len()).filter_map(move |index| {
            let cid = node.subtree(index)?;
            Some((index, cid, self.below(layer, index.checked_sub(1).and_then(key), key(index))))
        })
    }
}
