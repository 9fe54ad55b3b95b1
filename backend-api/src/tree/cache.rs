//! Decoded nodes, kept while one difference or edit is worked on.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::Node;
use super::place::Place;
use super::source::{BlockSource, fetch, missing};
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// Blocks asked for in one call.
const BATCH_BLOCKS_MAX: usize = 256;

/// Reads nodes in batches and keeps those that will be wanted again. Grows with the change that is worked on, so it can
/// be given a bound.
pub(super) struct NodeCache<S> {
    source: S,
    kept: HashMap<Cid, Arc<Node>>,
    reads_left: usize,
}

impl<S: BlockSource> NodeCache<S> {
    pub(super) fn new(source: S, reads_max: usize) -> Self {
        Self { source, kept: HashMap::new(), reads_left: reads_max }
    }

    /// The nodes of `wanted`, each checked against its place, with their layers. Those already kept are not read.
    /// Those that are read are kept if `keep` says so.
    pub(super) async fn nodes(
        &mut self,
        wanted: &[(Cid, Place)],
        keep: impl Fn(&Cid) -> bool,
    ) -> Result<Vec<(Arc<Node>, u32)>> {
        let mut nodes = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(BATCH_BLOCKS_MAX) {
            let unread: Vec<Cid> =
                batch.iter().map(|(cid, _)| *cid).filter(|cid| !self.kept.contains_key(cid)).collect();
            let mut read = self.read(&unread).await?.into_iter();
            let batch_nodes: Option<Vec<Arc<Node>>> =
                batch.iter().map(|(cid, _)| self.kept.get(cid).cloned().or_else(|| read.next())).collect();
            for ((cid, place), node) in batch.iter().zip(batch_nodes.unwrap_or_default()) {
                let layer = place.check(cid, &node)?;
                if keep(cid) {
                    self.kept.insert(*cid, Arc::clone(&node));
                }
                nodes.push((node, layer));
            }
        }
        Ok(nodes)
    }

    /// One node, kept.
    pub(super) async fn node(&mut self, cid: Cid, place: Place) -> Result<(Arc<Node>, u32)> {
        self.nodes(&[(cid, place)], |_| true).await?.pop().ok_or_else(|| missing(&cid))
    }

    async fn read(&mut self, cids: &[Cid]) -> Result<Vec<Arc<Node>>> {
        if cids.is_empty() {
            return Ok(Vec::new());
        }
        let Some(left) = self.reads_left.checked_sub(cids.len()) else {
            return Err(Error::new(Reason::TooLarge, "the change between two trees has more nodes than allowed here"));
        };
        self.reads_left = left;
        let blocks = fetch(&self.source, cids).await?;
        let decode = |(cid, block): (&Cid, Option<bytes::Bytes>)| {
            Node::decode(cid, &block.ok_or_else(|| missing(cid))?).map(Arc::new)
        };
        cids.iter().zip(blocks).map(decode).collect()
    }
}
