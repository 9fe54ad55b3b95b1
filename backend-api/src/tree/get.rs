//! Looking up one key.

use bytes::Bytes;

use super::node::Node;
use super::place::Place;
use super::source::{BlockSource, fetch_one};
use crate::cid::Cid;
use crate::error::Result;

/// What a tree says of one key, and the nodes that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// CID of the record, if there is one.
    pub value: Option<Cid>,
    /// The nodes from the root to the record, or to where no subtree is left that could hold it.
    pub proof: Vec<(Cid, Bytes)>,
}

/// Looks `key` up in the tree `root`. Reads one node for each layer on the way. A key that no tree can hold is not there.
///
/// # Errors
/// [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and what the source says.
pub async fn get<S: BlockSource>(source: S, root: Cid, key: &str) -> Result<Lookup> {
    let mut proof = Vec::new();
    let mut place = Place::root();
    let mut next = Some(root);
    while let Some(cid) = next {
        let block = fetch_one(&source, &cid).await?;
        let node = Node::decode(&cid, &block)?;
        let layer = place.check(&cid, &node)?;
        proof.push((cid, block));
        match node.find(key) {
            Ok(index) => return Ok(Lookup { value: Some(node.entries[index].value), proof }),
            Err(index) => {
                let subtree = place.subtrees(layer, &node).find(|(found, ..)| *found == index);
                (next, place) = subtree.map_or_else(Default::default, |(_, cid, place)| (Some(cid), place));
            }
        }
    }
    Ok(Lookup { value: None, proof })
}
