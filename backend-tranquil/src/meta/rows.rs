//! Rows in order of key, with the first bytes of each key beside it.
//!
//! A search through a tree of allocated keys reads one cache line for each comparison. Most keys differ in their first
//! sixteen bytes (a space, then a generation's number or a DID): kept in the node, they decide nearly all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::format::key::Key;

const HEAD_BYTES: usize = 16;

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
pub struct Rows(BTreeMap<Name<'static>, Option<Bytes>>);

/// An entry: a key, and its value or its deletion.
pub type Entry<'a> = (&'a [u8], &'a Option<Bytes>);

impl Rows {
    /// Puts or deletes.
    pub fn insert(&mut self, key: Key, value: Option<Bytes>) {
        self.0.insert(Name::new(Cow::Owned(key)), value);
    }

    /// What is known of a key.
    #[must_use]
    pub fn get<'a>(&'a self, key: &'a [u8]) -> Option<&'a Option<Bytes>> {
        // Shared, the map's keys may be taken for ones that live no longer than the one looked for.
        let rows: &'a BTreeMap<Name<'a>, Option<Bytes>> = &self.0;
        rows.get(&Name::new(Cow::Borrowed(key)))
    }

    /// Entries between two keys.
    pub fn range<'a>(
        &'a self,
        from: Bound<&'a [u8]>,
        to: Bound<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = Entry<'a>> {
        let rows: &'a BTreeMap<Name<'a>, Option<Bytes>> = &self.0;
        let name = |key: &'a [u8]| Name::new(Cow::Borrowed(key));
        rows.range((from.map(name), to.map(name))).map(|(name, value)| (&*name.key, value))
    }

    /// All entries, in order.
    pub fn into_entries(self) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        self.0.into_iter().map(|(name, value)| (name.key.into_owned(), value))
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
        let mut rows = Rows::default();
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
}
