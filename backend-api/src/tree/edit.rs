//! Changing a tree of which only the changed parts are read.

use std::collections::BTreeSet;

use super::cache::NodeCache;
use super::key::Key;
use super::node::{Entry, Node};
use super::place::Place;
use super::source::{BlockMap, BlockSource};
use crate::cid::Cid;
use crate::error::Result;

/// A tree being changed in memory. Reads a node when a change first needs it, and only then: a removal reads the way to
/// the key and, as long as there are subtrees on both sides of it, down between them, for they become one; an insertion
/// reads the way to where the key belongs and what it splits below.
pub struct Edit<S> {
    reader: Reader<S>,
    root: Subtree,
    layer: u32,
}

/// A subtree: not there, not read, or read.
#[derive(Default)]
enum Subtree {
    #[default]
    None,
    Unread(Cid),
    Read(Box<Open>),
}

/// A node that was read or made. There is one more subtree than there are records.
struct Open {
    /// The stored node, as long as this one is like it.
    stored: Option<Cid>,
    records: Vec<(Key, Cid)>,
    subtrees: Vec<Subtree>,
}

struct Reader<S> {
    cache: NodeCache<S>,
    reads: BTreeSet<Cid>,
}

impl<S: BlockSource> Edit<S> {
    /// Starts from the tree `root`, or from an empty one.
    ///
    /// # Errors
    /// Here and in all methods: [`BlockMissing`](crate::Reason::BlockMissing), [`BadTree`](crate::Reason::BadTree), and
    /// what the source says. After an error the edit is of no further use.
    pub async fn new(source: S, root: Option<Cid>) -> Result<Self> {
        Self::with_cache(NodeCache::new(source, usize::MAX), root).await
    }

    pub(super) async fn with_cache(cache: NodeCache<S>, root: Option<Cid>) -> Result<Self> {
        let mut edit = Self { reader: Reader { cache, reads: BTreeSet::new() }, root: root.into(), layer: 0 };
        if let Some(layer) = edit.reader.open(&mut edit.root, &Place::root()).await? {
            edit.layer = layer;
        }
        Ok(edit)
    }

    /// The stored nodes that were read so far.
    #[must_use]
    pub const fn reads(&self) -> &BTreeSet<Cid> {
        &self.reader.reads
    }

    /// Sets the record at `key`, and gives the one that was there.
    ///
    /// # Errors
    /// See [`Edit::new`].
    pub async fn insert(&mut self, key: Key, value: Cid) -> Result<Option<Cid>> {
        let target = key.layer();
        if matches!(self.root, Subtree::None) {
            self.layer = target;
        }
        while self.layer < target {
            self.root = Open::over(vec![], vec![std::mem::take(&mut self.root)]);
            self.layer += 1;
        }
        self.reader.open_way(&mut self.root, self.layer, key.as_str(), false).await?;
        Ok(insert(&mut self.root, self.layer - target, key, value))
    }

    /// Removes the record at `key`, and gives it.
    ///
    /// # Errors
    /// See [`Edit::new`].
    pub async fn remove(&mut self, key: &str) -> Result<Option<Cid>> {
        let found = self.reader.open_way(&mut self.root, self.layer, key, true).await?;
        if !found {
            return Ok(None);
        }
        let removed = remove(&mut self.root, key);
        self.trim().await?;
        Ok(removed)
    }

    /// The CID of the tree as it is now, and the blocks of the nodes that are not stored yet.
    #[must_use]
    pub fn finish(mut self) -> (Cid, BlockMap) {
        let mut blocks = BlockMap::new();
        let root = encode(&mut self.root, &mut blocks).unwrap_or_else(|| blocks.put(Node::default().encode()));
        (root, blocks)
    }

    /// A root without records gives way to its subtree: no tree is higher than its highest key.
    async fn trim(&mut self) -> Result<()> {
        while let Subtree::Read(node) = &mut self.root
            && node.records.is_empty()
        {
            let Some(below) = node.subtrees.pop() else { break };
            self.root = below;
            self.layer = self.layer.saturating_sub(1);
            // What is below may stand on its own only if it has records; its layer is known, so it has a place.
            let place = Place::root().below(self.layer + 1, None, None);
            self.reader.open(&mut self.root, &place).await?;
        }
        Ok(())
    }
}

impl<S: BlockSource> Reader<S> {
    /// Makes sure that a subtree is read, if there is one. Gives its layer if it was read now.
    async fn open(&mut self, subtree: &mut Subtree, place: &Place) -> Result<Option<u32>> {
        let Subtree::Unread(cid) = *subtree else { return Ok(None) };
        let (node, layer) = self.cache.node(cid, place.clone()).await?;
        self.reads.insert(cid);
        if node.is_empty() {
            *subtree = Subtree::None;
            return Ok(Some(layer));
        }
        let records = node.entries.iter().map(|entry| (entry.key.clone(), entry.value)).collect();
        let subtrees = (0..=node.entries.len()).map(|index| node.subtree(index).into()).collect();
        *subtree = Subtree::Read(Box::new(Open { stored: Some(cid), records, subtrees }));
        Ok(Some(layer))
    }

    /// Reads the way to `key`, down to where it is, or to where no subtree is left. True if it is there; then what has to
    /// become one without it is read too, if it is `to_remove`.
    async fn open_way(&mut self, root: &mut Subtree, mut layer: u32, key: &str, to_remove: bool) -> Result<bool> {
        let mut place = Place::root();
        let mut subtree = root;
        loop {
            self.open(subtree, &place).await?;
            let Subtree::Read(node) = subtree else { return Ok(false) };
            match node.find(key) {
                Err(index) => {
                    place = node.place_below(&place, layer, index);
                    subtree = &mut node.subtrees[index];
                }
                Ok(_) if !to_remove => return Ok(true),
                Ok(index) => {
                    let places = [node.place_below(&place, layer, index), node.place_below(&place, layer, index + 1)];
                    let [left, right] = &mut node.subtrees[index..=index + 1] else { return Ok(true) };
                    self.open_seam(left, right, layer.saturating_sub(1), places).await?;
                    return Ok(true);
                }
            }
            layer = layer.saturating_sub(1);
        }
    }

    /// Reads the right edge of `left` and the left edge of `right`, for as long as both go down.
    async fn open_seam(
        &mut self,
        mut left: &mut Subtree,
        mut right: &mut Subtree,
        mut layer: u32,
        [mut left_place, mut right_place]: [Place; 2],
    ) -> Result<()> {
        while !matches!((&*left, &*right), (Subtree::None, _) | (_, Subtree::None)) {
            self.open(left, &left_place).await?;
            self.open(right, &right_place).await?;
            let (Subtree::Read(l), Subtree::Read(r)) = (left, right) else { break };
            left_place = l.place_below(&left_place, layer, l.records.len());
            right_place = r.place_below(&right_place, layer, 0);
            let (Some(last), Some(first)) = (l.subtrees.last_mut(), r.subtrees.first_mut()) else { break };
            (left, right) = (last, first);
            layer = layer.saturating_sub(1);
        }
        Ok(())
    }
}

impl From<Option<Cid>> for Subtree {
    fn from(cid: Option<Cid>) -> Self {
        cid.map_or(Self::None, Self::Unread)
    }
}

impl Open {
    /// A new node; nothing if it would be empty.
    fn over(records: Vec<(Key, Cid)>, subtrees: Vec<Subtree>) -> Subtree {
        match (records.as_slice(), subtrees.as_slice()) {
            ([], [Subtree::None]) => Subtree::None,
            _ => Subtree::Read(Box::new(Self { stored: None, records, subtrees })),
        }
    }

    fn find(&self, key: &str) -> std::result::Result<usize, usize> {
        self.records.binary_search_by(|(found, _)| found.as_str().cmp(key))
    }

    fn place_below(&self, place: &Place, layer: u32, index: usize) -> Place {
        let key = |index: usize| self.records.get(index).map(|(key, _)| key);
        place.below(layer, index.checked_sub(1).and_then(key), key(index))
    }
}

// The functions below go down one layer a call, 128 at the most, over subtrees that `Reader` has read before.

/// Puts a record into the layer that is `depth` below `subtree`.
fn insert(subtree: &mut Subtree, depth: u32, key: Key, value: Cid) -> Option<Cid> {
    if !matches!(subtree, Subtree::Read(_)) {
        *subtree = Subtree::Read(Box::new(Open { stored: None, records: vec![], subtrees: vec![Subtree::None] }));
    }
    let Subtree::Read(node) = subtree else { return None };
    node.stored = None;
    match (node.find(key.as_str()), depth) {
        (Ok(index), _) => Some(std::mem::replace(&mut node.records[index].1, value)),
        (Err(index), 0) => {
            let (left, right) = split(std::mem::take(&mut node.subtrees[index]), key.as_str());
            node.records.insert(index, (key, value));
            node.subtrees.splice(index..=index, [left, right]);
            None
        }
        (Err(index), _) => insert(&mut node.subtrees[index], depth - 1, key, value),
    }
}

/// What is before `key`, and what is after it.
fn split(subtree: Subtree, key: &str) -> (Subtree, Subtree) {
    let Subtree::Read(mut node) = subtree else { return (subtree, Subtree::None) };
    let (Ok(index) | Err(index)) = node.find(key);
    let records_after = node.records.split_off(index);
    let mut subtrees_after = node.subtrees.split_off(index + 1);
    let (left, right) = node.subtrees.pop().map(|between| split(between, key)).unwrap_or_default();
    node.subtrees.push(left);
    subtrees_after.insert(0, right);
    (Open::over(node.records, node.subtrees), Open::over(records_after, subtrees_after))
}

/// Takes a record out, and every node that is empty without it.
fn remove(subtree: &mut Subtree, key: &str) -> Option<Cid> {
    let Subtree::Read(node) = subtree else { return None };
    node.stored = None;
    let removed = match node.find(key) {
        Err(index) => remove(&mut node.subtrees[index], key),
        Ok(index) => {
            let (_, value) = node.records.remove(index);
            let right = node.subtrees.remove(index + 1);
            let left = std::mem::take(&mut node.subtrees[index]);
            node.subtrees[index] = join(left, right);
            Some(value)
        }
    };
    if node.records.is_empty() && matches!(node.subtrees.as_slice(), [Subtree::None]) {
        *subtree = Subtree::None;
    }
    removed
}

/// Two neighbouring subtrees of one layer as one.
fn join(left: Subtree, right: Subtree) -> Subtree {
    match (left, right) {
        (Subtree::Read(mut left), Subtree::Read(right)) => {
            let mut after = right.subtrees.into_iter();
            let seam = (left.subtrees.pop().unwrap_or_default(), after.next().unwrap_or_default());
            left.subtrees.push(join(seam.0, seam.1));
            left.subtrees.extend(after);
            left.records.extend(right.records);
            Open::over(left.records, left.subtrees)
        }
        (Subtree::None, other) | (other, Subtree::None) => other,
        _ => unreachable!("where two subtrees meet, both are read before they are joined"),
    }
}

/// Stores what changed, from below. `None` for no subtree.
fn encode(subtree: &mut Subtree, blocks: &mut BlockMap) -> Option<Cid> {
    let node = match subtree {
        Subtree::None => return None,
        Subtree::Unread(cid) => return Some(*cid),
        Subtree::Read(node) => node,
    };
    if node.stored.is_some() {
        return node.stored;
    }
    let mut links = node.subtrees.iter_mut().map(|subtree| encode(subtree, blocks)).collect::<Vec<_>>().into_iter();
    let left = links.next().flatten();
    let entry = |((key, value), right)| Entry { key, value, right };
    let entries = std::mem::take(&mut node.records).into_iter().zip(links).map(entry).collect();
    Some(blocks.put(Node { left, entries }.encode()))
}
