//! Making a whole tree at once.

use std::collections::BTreeMap;

use super::key::Key;
use super::node::{Entry, Node};
use super::source::BlockMap;
use crate::cid::Cid;

/// The tree that holds `records`: its root and its nodes. Of two records with one key the later stays. Time and memory
/// grow with the records; to change a few records of a tree use [`Edit`](super::Edit).
#[must_use]
pub fn build(records: impl IntoIterator<Item = (Key, Cid)>) -> (Cid, BlockMap) {
    let records: BTreeMap<Key, Cid> = records.into_iter().collect();
    let records: Vec<(Key, Cid, u32)> =
        records.into_iter().map(|(key, value)| (key.layer(), key, value)).map(|(l, k, v)| (k, v, l)).collect();
    let mut blocks = BlockMap::new();
    let top = records.iter().map(|(.., layer)| *layer).max().unwrap_or(0);
    let root = build_layer(&records, top, &mut blocks).unwrap_or_else(|| blocks.put(Node::default().encode()));
    (root, blocks)
}

/// The subtree of `records` on `layer`, above which none of them is. Goes down one layer a call, 128 at the most.
fn build_layer(records: &[(Key, Cid, u32)], layer: u32, blocks: &mut BlockMap) -> Option<Cid> {
    if records.is_empty() {
        return None;
    }
    let mut groups = records.split(|(.., of)| *of == layer);
    let mut below =
        |blocks: &mut BlockMap| build_layer(groups.next().unwrap_or_default(), layer.checked_sub(1)?, blocks);
    let left = below(blocks);
    let on_layer = records.iter().filter(|(.., of)| *of == layer);
    let entries =
        on_layer.map(|(key, value, _)| Entry { key: key.clone(), value: *value, right: below(blocks) }).collect();
    Some(blocks.put(Node { left, entries }.encode()))
}
