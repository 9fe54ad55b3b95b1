use std::collections::BTreeMap;

use backend_api::Cid;
use backend_api::car::{CarEvent, CarReader};
use backend_api::tree::{self, BlockMap, CommitBlock};
use bytes::Bytes;
use futures::executor::block_on;
use serde_json::Value;

/// A CAR file that was read, every block hashed.
#[derive(Debug)]
pub struct Car {
    pub roots: Vec<Cid>,
    /// In their order.
    pub cids: Vec<Cid>,
    pub blocks: BlockMap,
}

impl Car {
    #[track_caller]
    pub fn read(bytes: &[u8]) -> Self {
        let mut reader = CarReader::new();
        reader.push(bytes);
        let mut car = Self { roots: Vec::new(), cids: Vec::new(), blocks: BlockMap::new() };
        while let Some(event) = reader.next().unwrap() {
            match event {
                CarEvent::Header { roots, .. } => car.roots = roots,
                CarEvent::Block { cid, bytes, .. } => {
                    car.cids.push(cid);
                    car.blocks.insert(cid, bytes);
                }
            }
        }
        reader.finish().unwrap();
        car
    }

    #[track_caller]
    pub fn root(&self) -> Cid {
        assert_eq!(self.roots.len(), 1);
        self.roots[0]
    }

    #[track_caller]
    pub fn commit(&self) -> CommitBlock {
        CommitBlock::decode(self.blocks.get(&self.root()).expect("the commit block is there")).unwrap()
    }

    /// The records of the tree, which must be whole.
    #[track_caller]
    pub fn records(&self) -> BTreeMap<String, Cid> {
        let data = self.commit().data;
        block_on(async {
            let checked = tree::check(&self.blocks, data).await.unwrap();
            assert!(checked.is_complete(), "{checked:?}");
            let mut walk = tree::walk(&self.blocks, data, None);
            let mut records = BTreeMap::new();
            while let Some((key, cid)) = walk.next().await.unwrap() {
                assert!(self.blocks.get(&cid).is_some(), "the record {key} is there");
                records.insert(key.to_string(), cid);
            }
            records
        })
    }

    #[track_caller]
    pub fn block(&self, cid: &Cid) -> Bytes {
        self.blocks.get(cid).unwrap_or_else(|| panic!("{cid} is there")).clone()
    }

    /// A record as the host shows it.
    #[track_caller]
    pub fn json(&self, cid: &Cid) -> Value {
        let mut text = Vec::new();
        pds::repo::json::append_block(&mut text, &self.block(cid)).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}
