//! Pairs of one state of the store that were read lately, in memory. A state never changes, so they need no care: the next
//! drain brings the next state, with nothing kept.

use bytes::Bytes;
use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// Longer values are read again.
const VALUE_BYTES_MAX: usize = 1 << 10;
/// What a pair costs besides its bytes, roughly.
const PAIR_BYTES: u64 = 96;
/// Room to begin with, in pairs.
const PAIRS: usize = 256;

/// The pairs.
pub struct Kept(Cache<Bytes, Bytes, PairWeight, RandomState>);

#[derive(Clone)]
struct PairWeight;

impl Weighter<Bytes, Bytes> for PairWeight {
    fn weight(&self, key: &Bytes, value: &Bytes) -> u64 {
        (key.len() + value.len()) as u64 + PAIR_BYTES
    }
}

impl Kept {
    /// Keeps so many bytes at the most.
    pub fn new(bytes_max: u64) -> Self {
        Self(Cache::with(PAIRS, bytes_max, PairWeight, RandomState::default(), DefaultLifecycle::default()))
    }

    /// The value of a key, if it is kept.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    /// Keeps a pair. Copied: what the store gave out is a piece of something larger.
    pub fn put(&self, key: &[u8], value: &[u8]) {
        if value.len() <= VALUE_BYTES_MAX {
            self.0.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
    }
}
