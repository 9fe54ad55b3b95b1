//! An ordered map that is cheap to keep as it was: what a snapshot shares with the newest state is not copied.
//!
//! Runs lie upon each other, the newest last, as in a log-structured merge tree (O'Neil et al., 1996): each is at most half
//! as large as the one below it, so that a pair is copied a logarithmic number of times, and there are few to look in. Each
//! has a hash table, because most keys that are asked for are in one run or in none.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::trace::Trace;

/// The map. A clone is the same map, and goes its own way.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    layers: Vec<Arc<Layer>>,
    bytes: u64,
}

/// A key with its value, or with what removes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// `None` is a key that was removed. The lowest run has none.
type Pair = (Bytes, Option<Bytes>);

/// A run, sorted.
#[derive(Debug, Default)]
struct Layer {
    pairs: Vec<Pair>,
    /// By hash, from there on: a part of the hash, and where the pair is, from one on. Zero is nothing.
    table: Vec<(u32, u32)>,
}

fn hash(key: &[u8]) -> u64 {
    let mut trace = Trace::default();
    trace.note_bytes(key);
    trace.value()
}

impl Layer {
    fn new(pairs: Vec<Pair>) -> Self {
        let mut table = vec![(0, 0); (2 * pairs.len()).next_power_of_two()];
        for (i, (key, _)) in pairs.iter().enumerate() {
            let hash = hash(key);
            let mut at = hash as usize & (table.len() - 1);
            while table[at].1 != 0 {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = ((hash >> 32) as u32, i as u32 + 1);
        }
        Self { pairs, table }
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<&Option<Bytes>> {
        let mut at = hash as usize & (self.table.len() - 1);
        while let (part, number @ 1..) = self.table[at] {
            if part == (hash >> 32) as u32 && self.pairs[number as usize - 1].0 == key {
                return Some(&self.pairs[number as usize - 1].1);
            }
            at = (at + 1) & (self.table.len() - 1);
        }
        None
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> &[Pair] {
        let before = |bound: &[u8], is_in: bool| {
            self.pairs.partition_point(|(key, _)| if is_in { &key[..] <= bound } else { &key[..] < bound })
        };
        let first = match from {
            Bound::Included(key) => before(key, false),
            Bound::Excluded(key) => before(key, true),
            Bound::Unbounded => 0,
        };
        let end = match to {
            Bound::Included(key) => before(key, true),
            Bound::Excluded(key) => before(key, false),
            Bound::Unbounded => self.pairs.len(),
        };
        self.pairs.get(first..end).unwrap_or_default()
    }
}

/// The pairs of a run, in one piece of memory.
fn in_one(run: &[Change]) -> Vec<Pair> {
    let parts = run.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten();
    let all = Bytes::from(parts.fold(Vec::new(), |mut all, part| {
        all.extend_from_slice(part);
        all
    }));
    let mut at = 0;
    let mut part = |len: usize| {
        at += len;
        all.slice(at - len..at)
    };
    run.iter().map(|(key, value)| (part(key.len()), value.as_ref().map(|value| part(value.len())))).collect()
}

/// Both as one; of a key that both have, what is above.
fn merged(below: &[Pair], above: Vec<Pair>) -> Vec<Pair> {
    let mut out = Vec::with_capacity(below.len() + above.len());
    let mut below = below.iter().peekable();
    for pair in above {
        while let Some(lower) = below.next_if(|lower| lower.0 <= pair.0) {
            if lower.0 < pair.0 {
                out.push(lower.clone());
            }
        }
        out.push(pair);
    }
    out.extend(below.cloned());
    out
}

impl Pairs {
    /// Bytes of all keys and values.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let hash = hash(key);
        self.layers.iter().rev().find_map(|layer| layer.get(hash, key))?.as_ref()
    }

    /// The map with a run on top, which is sorted.
    #[must_use]
    pub fn with(&self, run: &[Change]) -> Self {
        let mut next = self.clone();
        for (key, value) in run {
            let size = |value: Option<usize>| value.map_or(0, |len| (key.len() + len) as u64);
            next.bytes -= size(self.get(key).map(Bytes::len));
            next.bytes += size(value.as_ref().map(Vec::len));
        }
        let mut top = in_one(run);
        while next.layers.last().is_some_and(|below| below.pairs.len() < 2 * top.len()) {
            let Some(below) = next.layers.pop() else { break };
            top = merged(&below.pairs, top);
        }
        if next.layers.is_empty() {
            top.retain(|(_, value)| value.is_some());
        }
        next.layers.push(Arc::new(Layer::new(top)));
        next
    }

    /// Pairs between two keys, forward or back.
    pub fn range<'a>(
        &'a self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reverse: bool,
    ) -> impl Iterator<Item = (Bytes, Bytes)> + use<'a> {
        let layers = self.layers.iter().rev().map(|layer| layer.range(from, to));
        Merge { layers: layers.filter(|layer| !layer.is_empty()).collect(), reverse }
    }
}

/// All layers as one, the newest first: what is left of each.
struct Merge<'a> {
    layers: Vec<&'a [Pair]>,
    reverse: bool,
}

impl<'a> Merge<'a> {
    fn head(&self, i: usize) -> Option<&'a Pair> {
        if self.reverse { self.layers[i].last() } else { self.layers[i].first() }
    }

    fn pass(&mut self, i: usize) {
        let left = &mut self.layers[i];
        *left = if self.reverse { &left[..left.len() - 1] } else { &left[1..] };
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let before = if self.reverse { Ordering::Greater } else { Ordering::Less };
        loop {
            let mut next: Option<(usize, &'a Pair)> = None;
            for i in 0..self.layers.len() {
                let Some(pair) = self.head(i) else { continue };
                match next.map_or(before, |(_, best)| pair.0.cmp(&best.0)) {
                    // What lies above hides it.
                    Ordering::Equal => self.pass(i),
                    order if order == before => next = Some((i, pair)),
                    _ => {}
                }
            }
            let (i, (key, value)) = next?;
            self.pass(i);
            if let Some(value) = value {
                return Some((key.clone(), value.clone()));
            }
        }
    }
}
