//! A bounded piece of a range, merged over all layers.

use std::ops::Bound;

use backend_api::Result;
use bytes::Bytes;

use super::Layers;
use super::rows::Entry;
use crate::format::key::{Key, after_prefix};

/// Which piece.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The lower end.
    pub from: Bound<Key>,
    /// The upper end.
    pub to: Bound<Key>,
    /// Greatest key first.
    pub reverse: bool,
    /// Pairs at the most.
    pub limit: usize,
}

impl Scan {
    /// All keys with a prefix, in order.
    #[must_use]
    pub fn prefix(prefix: Key, limit: usize) -> Self {
        let to = after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self { from: Bound::Included(prefix), to, reverse: false, limit }
    }

    /// Those behind a key, in the direction of the scan.
    #[must_use]
    pub fn after(mut self, key: Option<Key>) -> Self {
        if let Some(key) = key {
            *(if self.reverse { &mut self.to } else { &mut self.from }) = Bound::Excluded(key);
        }
        self
    }

    /// Greatest key first.
    #[must_use]
    pub const fn reversed(mut self, reverse: bool) -> Self {
        self.reverse = reverse;
        self
    }

    /// True if no key can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(a), Bound::Included(b)) => a > b,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
            _ => false,
        }
    }
}

/// Pairs in order.
pub type Found = Vec<(Bytes, Bytes)>;

/// Gives the pairs, and true if there may be more. Keys of blocks are not among them: memtables keep those unordered.
pub fn scan(layers: &Layers<'_>, what: &Scan) -> Result<(Found, bool)> {
    if what.is_empty() {
        return Ok((Vec::new(), false));
    }
    let bounds = (as_slice(&what.from), as_slice(&what.to));
    let mut newer = layers
        .tables
        .iter()
        .map(|table| {
            let range = table.rows.range(bounds.0, bounds.1);
            let range: Box<dyn Iterator<Item = Entry<'_>>> =
                if what.reverse { Box::new(range.rev()) } else { Box::new(range) };
            range.peekable()
        })
        .collect::<Vec<_>>();
    let mut store = layers.store.range(bounds.0, bounds.1, what.reverse).peekable();
    let mut found = Vec::new();
    loop {
        // The next key in the direction of the scan; of equal ones the newest layer's value counts.
        let mut next: Option<&[u8]> = None;
        for layer in &mut newer {
            if let Some((key, _)) = layer.peek() {
                next = Some(next.map_or(*key, |n| nearer(n, key, what.reverse)));
            }
        }
        let stored = match store.next_if(|pair| pair.is_err()) {
            Some(Err(e)) => return Err(e),
            _ => store.peek().and_then(|pair| pair.as_ref().ok()).map(|(key, _)| key.clone()),
        };
        let key: Bytes = match (next, &stored) {
            (Some(a), Some(b)) => Bytes::copy_from_slice(nearer(a, b, what.reverse)),
            (Some(a), None) => Bytes::copy_from_slice(a),
            (None, Some(b)) => b.clone(),
            (None, None) => return Ok((found, false)),
        };
        let mut value: Option<Option<Bytes>> = None;
        for layer in &mut newer {
            if let Some((_, v)) = layer.next_if(|(k, _)| *k == &key[..]) {
                value.get_or_insert_with(|| v.clone());
            }
        }
        if stored.as_ref() == Some(&key)
            && let Some(pair) = store.next()
        {
            let (_, v) = pair?;
            value.get_or_insert(Some(v));
        }
        if let Some(Some(value)) = value {
            // Only a pair that is there makes more: a deletion in a memtable is gone after the next drain.
            if found.len() == what.limit {
                return Ok((found, true));
            }
            found.push((key, value));
        }
    }
}

fn nearer<'a>(a: &'a [u8], b: &'a [u8], reverse: bool) -> &'a [u8] {
    if (a < b) != reverse { a } else { b }
}

fn as_slice(bound: &Bound<Key>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}
