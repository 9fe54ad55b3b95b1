//! An ordered map that is cheap to keep as it was: what a snapshot shares with the newest state is not copied.
//!
//! Runs lie upon each other, the newest last, as in a log-structured merge tree (O'Neil et al., 1996): each is at most half
//! as large as the one below it, so that a pair is copied a logarithmic number of times, and there are few to look in.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

type Layer = BTreeMap<Bytes, Option<Bytes>>;

/// The map. A clone is the same map, and goes its own way.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// `None` is a key that was removed. The lowest has none.
    layers: Vec<Arc<Layer>>,
    bytes: u64,
}

/// Keys with their values, or with what removes them.
pub type Run = [(Vec<u8>, Option<Vec<u8>>)];

impl Pairs {
    /// Bytes of all keys and values.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.layers.iter().rev().find_map(|layer| layer.get(key))?.as_ref()
    }

    /// The map with a run on top.
    #[must_use]
    pub fn with(&self, run: &Run) -> Self {
        let mut next = self.clone();
        let mut top = Layer::new();
        for (key, value) in run {
            let size = |value: Option<usize>| value.map_or(0, |len| (key.len() + len) as u64);
            next.bytes -= size(self.get(key).map(Bytes::len));
            next.bytes += size(value.as_ref().map(Vec::len));
            top.insert(Bytes::copy_from_slice(key), value.as_deref().map(Bytes::copy_from_slice));
        }
        while next.layers.last().is_some_and(|below| below.len() < 2 * top.len()) {
            let Some(below) = next.layers.pop() else { break };
            let mut merged = Arc::unwrap_or_clone(below);
            merged.append(&mut top);
            top = merged;
        }
        if next.layers.is_empty() {
            top.retain(|_, value| value.is_some());
        }
        next.layers.push(Arc::new(top));
        next
    }

    /// Pairs between two keys, forward or back.
    pub fn range<'a>(
        &'a self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reverse: bool,
    ) -> impl Iterator<Item = (Bytes, Bytes)> + use<'a> {
        let layers = self.layers.iter().rev().map(|layer| {
            let range = layer.range::<[u8], _>((from, to));
            let range: Box<dyn Iterator<Item = _> + Send + 'a> =
                if reverse { Box::new(range.rev()) } else { Box::new(range) };
            range.peekable()
        });
        Merge { layers: layers.collect(), reverse }
    }
}

type Pair<'a> = (&'a Bytes, &'a Option<Bytes>);

/// All layers as one, the newest first.
struct Merge<'a> {
    layers: Vec<Peekable<Box<dyn Iterator<Item = Pair<'a>> + Send + 'a>>>,
    reverse: bool,
}

impl Iterator for Merge<'_> {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let heads = self.layers.iter_mut().filter_map(|layer| layer.peek().map(|(key, _)| *key));
            let key = if self.reverse { heads.max() } else { heads.min() }?;
            let mut newest = None;
            for layer in &mut self.layers {
                if let Some((_, value)) = layer.next_if(|(other, _)| *other == key) {
                    newest = newest.or(Some(value));
                }
            }
            if let Some(Some(value)) = newest {
                return Some((key.clone(), value.clone()));
            }
        }
    }
}
