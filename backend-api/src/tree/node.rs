//! One node of the tree and its block.

use super::key::{Key, common_prefix};
use crate::cbor::{Malformed, Reader, Writer};
use crate::cid::{Cid, Codec};
use crate::error::{Error, Reason, Result};

/// Bytes of a node's block at the most. A node of honest keys has 1-2 KB; keys can be chosen to make larger ones.
pub const NODE_BYTES_MAX: usize = 1 << 20;

/// Entries of a node at the most. Honest nodes have four on average, and more than 100 once in 10^13 times; the bound
/// keeps what the compressed keys unfold to within a few megabytes.
pub const NODE_ENTRIES_MAX: usize = 4096;

/// A record in a node, and the subtree between it and the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Key of the record.
    pub key: Key,
    /// CID of the record.
    pub value: Cid,
    /// The subtree of keys after this one and before the next one.
    pub right: Option<Cid>,
}

/// A node. One that was decoded is canonical in itself: keys well-formed, ascending, all of one layer. Whether it stands
/// in the right place is seen only from above, see [`Place`](super::Place).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The subtree of keys before the first entry.
    pub left: Option<Cid>,
    /// The records, in order of their keys.
    pub entries: Vec<Entry>,
}

impl Node {
    /// Decodes the block of a node. Does not hash it.
    ///
    /// # Errors
    /// [`Reason::BadTree`] unless it is the canonical block of a node; [`Reason::TooLarge`] beyond [`NODE_BYTES_MAX`]
    /// or [`NODE_ENTRIES_MAX`]. Both name `cid`.
    pub fn decode(cid: &Cid, block: &[u8]) -> Result<Self> {
        if block.len() > NODE_BYTES_MAX {
            let detail = format!("tree node {cid} has {} bytes, the most is {NODE_BYTES_MAX}", block.len());
            return Err(Error::new(Reason::TooLarge, detail));
        }
        let node = Self::parse(block).map_err(|e| e.into_error(Reason::BadTree, format_args!("tree node {cid}")))?;
        node.layer().map(|_| ()).map_err(|e| e.context(format_args!("tree node {cid}")))?;
        Ok(node)
    }

    /// The layer that all keys of the node belong to, if it has any.
    ///
    /// # Errors
    /// [`Reason::BadTree`] if they belong to different ones.
    pub fn layer(&self) -> Result<Option<u32>> {
        let Some(first) = self.entries.first() else { return Ok(None) };
        let layer = first.key.layer();
        match self.entries.iter().find(|entry| entry.key.layer() != layer) {
            None => Ok(Some(layer)),
            Some(other) => {
                let detail = format!("keys {} and {} of one node belong to different layers", first.key, other.key);
                Err(Error::new(Reason::BadTree, detail))
            }
        }
    }

    /// True for the root of a tree without records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_none() && self.entries.is_empty()
    }

    /// The subtree at `index`: 0 is the left one, n the one right of entry n - 1.
    #[must_use]
    pub fn subtree(&self, index: usize) -> Option<Cid> {
        match index.checked_sub(1) {
            None => self.left,
            Some(entry) => self.entries.get(entry).and_then(|entry| entry.right),
        }
    }

    /// Where `key` is: `Ok` with its entry, or `Err` with the subtree that it would be in.
    ///
    /// # Errors
    /// No error, but the other answer.
    pub fn find(&self, key: &str) -> std::result::Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key.as_str().cmp(key))
    }

    /// The block of the node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64 + self.entries.len() * 112);
        w.map(2).text("e").array(self.entries.len());
        let mut previous: &[u8] = &[];
        for entry in &self.entries {
            let key = entry.key.as_str().as_bytes();
            let shared = common_prefix(previous, key);
            w.map(4).text("k").bytes(&key[shared..]).text("p").uint(shared as u64);
            w.text("t").link_or_null(entry.right.as_ref()).text("v").link(&entry.value);
            previous = key;
        }
        w.text("l").link_or_null(self.left.as_ref());
        w.into_bytes()
    }

    fn parse(block: &[u8]) -> std::result::Result<Self, Malformed> {
        let mut r = Reader::new(block);
        map_of(&mut r, 2)?;
        r.key("e")?;
        let count = r.array()?;
        if count > NODE_ENTRIES_MAX {
            return Err(Malformed::new(r.offset(), format!("{count} entries, the most is {NODE_ENTRIES_MAX}")));
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = parse_entry(&mut r, entries.last().map(|entry| &entry.key))?;
            entries.push(entry);
        }
        r.key("l")?;
        let left = subtree_link(&mut r)?;
        r.end()?;
        Ok(Self { left, entries })
    }
}

fn parse_entry(r: &mut Reader<'_>, previous: Option<&Key>) -> std::result::Result<Entry, Malformed> {
    let at = r.offset();
    map_of(r, 4)?;
    r.key("k")?;
    let suffix = r.bytes()?;
    r.key("p")?;
    let shared = r.uint()?;
    let previous = previous.map_or("", Key::as_str).as_bytes();
    // Bounded by the previous key, so the key has at most that plus the block's length before it is checked.
    let shared = usize::try_from(shared).ok().filter(|shared| *shared <= previous.len());
    let Some(shared) = shared else {
        return Err(Malformed::new(at, "a prefix longer than the key before it"));
    };
    let key = [&previous[..shared], suffix].concat();
    if common_prefix(previous, &key) != shared {
        return Err(Malformed::new(at, "a key that is not compressed as far as it could be"));
    }
    if key.as_slice() <= previous {
        return Err(Malformed::new(at, "a key that is not after the one before it"));
    }
    let key = std::str::from_utf8(&key).map_err(|_| Malformed::new(at, "a key that is not UTF-8"))?;
    let key = Key::parse(key).map_err(|e| Malformed::new(at, e.detail()))?;
    r.key("t")?;
    let right = subtree_link(r)?;
    r.key("v")?;
    let value = dag_cbor(r.offset(), r.link()?)?;
    Ok(Entry { key, value, right })
}

fn map_of(r: &mut Reader<'_>, pairs: usize) -> std::result::Result<(), Malformed> {
    let at = r.offset();
    match r.map()? {
        found if found == pairs => Ok(()),
        found => Err(Malformed::new(at, format!("a map of {found} pairs instead of {pairs}"))),
    }
}

fn subtree_link(r: &mut Reader<'_>) -> std::result::Result<Option<Cid>, Malformed> {
    let at = r.offset();
    r.link_or_null()?.map(|cid| dag_cbor(at, cid)).transpose()
}

fn dag_cbor(at: usize, cid: Cid) -> std::result::Result<Cid, Malformed> {
    match cid.codec() {
        Codec::DagCbor => Ok(cid),
        Codec::Raw => Err(Malformed::new(at, format!("{cid} is no CID of a repository block"))),
    }
}
