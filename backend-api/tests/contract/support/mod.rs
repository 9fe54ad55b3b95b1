//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use backend_api::car::{CarEvent, CarReader};
use backend_api::tree::{BlockMap, BlockSource, Key};
use backend_api::{Cid, Codec, Result};
use bytes::Bytes;

/// A fixture's bytes. Without the fixtures a test is skipped with a note; in CI it fails.
pub fn fixture(name: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("FIXTURES") else {
        assert!(std::env::var_os("CI").is_none(), "FIXTURES has to be set in CI");
        eprintln!("skipped: FIXTURES is not set, so {name} cannot be found");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", path.display());
            eprintln!("skipped: {}: {error}", path.display());
            None
        }
    }
}

pub fn fixture_text(name: &str) -> Option<String> {
    fixture(name).map(|bytes| String::from_utf8(bytes).expect("a fixture of text"))
}

pub fn fixture_json(name: &str) -> Option<serde_json::Value> {
    fixture(name).map(|bytes| serde_json::from_slice(&bytes).expect("a fixture of JSON"))
}

/// The roots of a CAR file, and its blocks in order.
pub type Car = (Vec<Cid>, Vec<(Cid, Bytes)>);

/// A whole CAR file.
pub fn read_car(file: &[u8]) -> Result<Car> {
    let mut reader = CarReader::new();
    reader.push(file);
    let (mut roots, mut blocks) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next()? {
        match event {
            CarEvent::Header { roots: found } => roots = found,
            CarEvent::Block { cid, bytes, .. } => blocks.push((cid, bytes)),
        }
    }
    reader.finish()?;
    Ok((roots, blocks))
}

/// A sequence of numbers that looks random and is the same in every run (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

/// A CID for a record that nobody looks into.
pub fn value(number: u64) -> Cid {
    Cid::of(Codec::DagCbor, &number.to_be_bytes())
}

/// The records `app.example.thing/000000` and so on.
pub fn records(count: u64) -> Vec<(Key, Cid)> {
    (0..count).map(|n| (key(&format!("app.example.thing/{n:06}")), value(n))).collect()
}

/// Blocks in memory that count how they are asked for.
pub struct Counting {
    pub blocks: BlockMap,
    pub asked: Mutex<Vec<Vec<Cid>>>,
}

impl Counting {
    pub fn over(blocks: BlockMap) -> Self {
        Self { blocks, asked: Mutex::default() }
    }

    /// The batches asked for since the last time.
    pub fn take(&self) -> Vec<Vec<Cid>> {
        std::mem::take(&mut self.asked.lock().expect("no test panics with it"))
    }
}

#[async_trait]
impl BlockSource for Counting {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        self.asked.lock().expect("no test panics with it").push(cids.to_vec());
        self.blocks.blocks(cids).await
    }
}
