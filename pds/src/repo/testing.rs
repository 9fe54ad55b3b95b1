//! What the tests of this room have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use backend_api::tree::{self, BlockMap, BlockSource, Key};
use backend_api::{Cid, Result};
use bytes::Bytes;

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Blocks in memory that count how many were read.
#[derive(Clone)]
pub(super) struct Counting {
    blocks: Arc<BlockMap>,
    read: Arc<AtomicUsize>,
}

impl Counting {
    pub fn new(blocks: BlockMap) -> Self {
        Self { blocks: Arc::new(blocks), read: Arc::default() }
    }

    pub fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl BlockSource for Counting {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        self.read.fetch_add(cids.len(), Ordering::Relaxed);
        self.blocks.blocks(cids).await
    }
}

/// The block of a record.
pub(super) fn record(n: u64) -> Bytes {
    backend_api::cbor::encode(&n).unwrap().into()
}

/// The tree of some records, nodes and records in one map.
pub(super) fn repo(records: &BTreeMap<String, u64>) -> (Cid, BlockMap) {
    let records: Vec<(Key, Bytes)> = records.iter().map(|(key, n)| (Key::parse(key).unwrap(), record(*n))).collect();
    let (root, mut blocks) = tree::build(records.iter().map(|(key, block)| (key.clone(), Cid::of_block(block))));
    for (_, block) in records {
        blocks.put(block);
    }
    (root, blocks)
}
