//! Rows in order of key, with the first bytes of each key beside it.
//!
//! A search through a tree of allocated keys reads one cache line for each comparison. Most keys differ in their first
//! sixteen bytes (a space, then a generation's number or a DID): kept in the node, they decide nearly all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::ops::Bound;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::format::key::Key;

const HEAD_BYTES: usize = 16;
/// A filter takes this part of the room of its table: two bytes or so for each row beside the blocks of a commit.
const FILTER_PART: usize = 256;

/// A key behind its first bytes. In order of the key: zeros fill a short head, and equal heads leave it to the keys.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a> {
    head: [u64; 2],
    key: Cow<'a, [u8]>,
}

impl<'a> Name<'a> {
    fn new(key: Cow<'a, [u8]>) -> Self {
        let mut head = [0; HEAD_BYTES];
        let len = key.len().min(HEAD_BYTES);
        head[..len].copy_from_slice(&key[..len]);
        let head = u128::from_be_bytes(head);
        Self { head: [(head >> 64) as u64, head as u64], key }
    }
}

/// Puts, and deletes as `None`, in order of key.
#[derive(Default)]
pub struct Rows {
    map: BTreeMap<Name<'static>, Option<Bytes>>,
    filter: Option<Filter>,
}

/// An entry: a key, and its value or its deletion.
pub type Entry<'a> = (&'a [u8], &'a Option<Bytes>);

impl Rows {
    /// For what many cycles bring, of so many bytes: most of what is asked for is not here, and that is told without a
    /// search.
    #[must_use]
    pub fn of_many(bytes: usize) -> Self {
        Self { filter: Some(Filter::new(bytes / FILTER_PART)), ..Self::default() }
    }

    /// Puts or deletes.
    pub fn insert(&mut self, key: Key, value: Option<Bytes>) {
        if let Some(filter) = &mut self.filter {
            filter.insert(&key);
        }
        self.map.insert(Name::new(Cow::Owned(key)), value);
    }

    /// What is known of a key.
    #[must_use]
    pub fn get<'a>(&'a self, key: &'a [u8]) -> Option<&'a Option<Bytes>> {
        if self.filter.as_ref().is_some_and(|filter| !filter.may_have(key)) {
            return None;
        }
        // Shared, the map's keys may be taken for ones that live no longer than the one looked for.
        let rows: &'a BTreeMap<Name<'a>, Option<Bytes>> = &self.map;
        rows.get(&Name::new(Cow::Borrowed(key)))
    }

    /// Entries between two keys.
    pub fn range<'a>(
        &'a self,
        from: Bound<&'a [u8]>,
        to: Bound<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = Entry<'a>> {
        let rows: &'a BTreeMap<Name<'a>, Option<Bytes>> = &self.map;
        let name = |key: &'a [u8]| Name::new(Cow::Borrowed(key));
        rows.range((from.map(name), to.map(name))).map(|(name, value)| (&*name.key, value))
    }

    /// All entries, in order.
    pub fn into_entries(self) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        self.map.into_iter().map(|(name, value)| (name.key.into_owned(), value))
    }
}

/// A Bloom filter of which each key has one word ("blocked": Putze, Sanders, Singler, 2007).
struct Filter {
    words: Box<[u64]>,
    hasher: RandomState,
}

impl Filter {
    fn new(bytes: usize) -> Self {
        Self { words: vec![0; (bytes / size_of::<u64>()).max(1)].into(), hasher: RandomState::default() }
    }

    /// The word of a key, and its three bits.
    fn of(&self, key: &[u8]) -> (usize, u64) {
        let hash = self.hasher.hash_one(key);
        let bit = |shift: u32| 1 << (hash >> shift & 63);
        ((hash >> 32) as usize % self.words.len(), bit(0) | bit(6) | bit(12))
    }

    fn insert(&mut self, key: &[u8]) {
        let (word, bits) = self.of(key);
        self.words[word] |= bits;
    }

    fn may_have(&self, key: &[u8]) -> bool {
        let (word, bits) = self.of(key);
        self.words[word] & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_keys() {
        let mut keys: Vec<Key> = vec![vec![], vec![0], vec![0; 15], vec![0; 16], vec![0; 17], vec![1], vec![0xff; 40]];
        keys.extend((0..=255).map(|last| [&[7; 15][..], &[last]].concat()));
        keys.extend((0..=255).map(|last| [&[7; 20][..], &[last]].concat()));
        let mut rows = Rows::of_many(0);
        for (i, key) in keys.iter().enumerate() {
            rows.insert(key.clone(), Some(Bytes::from(i.to_string())));
        }
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(rows.get(key), Some(&Some(Bytes::from(i.to_string()))), "{key:?}");
        }
        keys.sort();
        let all: Vec<_> = rows.range(Bound::Unbounded, Bound::Unbounded).map(|(key, _)| key.to_vec()).collect();
        assert_eq!(all, keys);
        for pair in keys.windows(2) {
            let mut between = rows.range(Bound::Excluded(&pair[0]), Bound::Included(&pair[1]));
            assert_eq!(between.next().map(|(key, _)| key), Some(&pair[1][..]));
            assert_eq!(between.next(), None);
        }
    }

    #[test]
    fn most_of_what_is_not_there_is_told_without_a_search() {
        const ROWS: usize = 25_000;
        // As many rows as go into a table of this size, beside the blocks that come with them.
        let mut rows = Rows::of_many(12 << 20);
        let key = |n: usize| format!("a key of a row, number {n}").into_bytes();
        (0..ROWS).for_each(|n| rows.insert(key(n), None));
        assert!((0..ROWS).all(|n| rows.get(&key(n)) == Some(&None)));
        let filter = rows.filter.as_ref().unwrap();
        let searched = (ROWS..2 * ROWS).filter(|n| filter.may_have(&key(*n))).count();
        assert!(searched < ROWS / 20, "{searched} of {ROWS}");
    }
}
