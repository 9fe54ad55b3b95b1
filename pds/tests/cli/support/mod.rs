//! What the tests of the operator's commands share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod tapped;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend_api::car::{self, CarEvent, CarReader};
use backend_api::tree::{self, CommitBlock, Key};
use backend_api::{AccountName, Backend, Cid, Did, Micros, Result, Tid};
use bytes::Bytes;
use conformance::{ManualClock, Model, Options};
use pds::cli::work::{self, Follower, Imported, Outcome, Progress, Request};

pub const REV_MICROS: u64 = 1_700_000_000_000_000;

/// An empty store: in memory, or of the engine that was chosen.
pub async fn store() -> Arc<dyn Backend> {
    if crate::engine::chosen().is_none() {
        return model();
    }
    let place = crate::engine::Place::new().await;
    let backend = pds::storage::open(&place.storage()).await.unwrap();
    Arc::new(tapped::Tapped::keeping(backend, place))
}

/// An empty store in memory.
pub fn model() -> Arc<dyn Backend> {
    let window = 72 * 3_600_000_000;
    let options = Options { history_window_micros: window, event_retention_micros: window };
    Arc::new(Model::new(options, Arc::new(ManualClock::new(Micros(REV_MICROS)))))
}

/// A file of the public test data; `None`, with a note, where it is not to be had.
pub fn fixture(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("FIXTURES").map(|root| PathBuf::from(root).join("cars").join(name));
    if let Some(path) = found.filter(|path| path.is_file()) {
        return Some(path);
    }
    assert!(std::env::var("CI").is_err(), "FIXTURES has no cars/{name}");
    eprintln!("skipped: FIXTURES has no cars/{name}");
    None
}

/// A repository to be written into a CAR file.
#[derive(Clone)]
pub struct Repo {
    pub did: Did,
    pub rev: Tid,
    pub records: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    /// With `count` records.
    pub fn new(word: &str, count: usize) -> Self {
        let did = format!("did:web:{word}.example.com").parse().unwrap();
        let mut repo = Self { did, rev: Tid::new(REV_MICROS, 1), records: BTreeMap::new() };
        for n in 0..count {
            repo.put(n, &format!("text {n}"));
        }
        repo
    }

    pub fn put(&mut self, n: usize, text: &str) {
        self.records.insert(format!("app.bsky.feed.post/{n:06}"), record(text));
    }

    pub fn commit(&self) -> (Cid, Vec<u8>, tree::BlockMap) {
        let (data, nodes) = tree::build(self.entries());
        let (did, rev) = (self.did.clone(), self.rev);
        let block = CommitBlock { did, version: 3, data, rev, prev: None, sig: vec![1; 64] }.encode();
        (Cid::of_block(&block), block, nodes)
    }

    fn entries(&self) -> impl Iterator<Item = (Key, Cid)> + '_ {
        self.records.iter().map(|(path, block)| (Key::parse(path).unwrap(), Cid::of_block(block)))
    }

    /// All its blocks: the commit first, then nodes and records in no order that a walk would choose.
    pub fn blocks(&self) -> Vec<(Cid, Vec<u8>)> {
        let (commit, block, nodes) = self.commit();
        let mut rest: BTreeMap<Cid, Vec<u8>> = nodes.iter().map(|(cid, bytes)| (*cid, bytes.to_vec())).collect();
        rest.extend(self.records.values().map(|block| (Cid::of_block(block), block.clone())));
        std::iter::once((commit, block)).chain(rest).collect()
    }

    pub fn car(&self) -> Vec<u8> {
        car_of(self.commit().0, &self.blocks())
    }
}

/// A record's block.
pub fn record(text: &str) -> Vec<u8> {
    let mut w = backend_api::cbor::Writer::with_capacity(64);
    w.map(2).text("text").text(text).text("$type").text("app.bsky.feed.post");
    w.into_bytes()
}

pub fn car_of(root: Cid, blocks: &[(Cid, Vec<u8>)]) -> Vec<u8> {
    let mut out = car::header(root);
    for (cid, bytes) in blocks {
        car::append_block(&mut out, cid, bytes);
    }
    out
}

/// Root, blocks and the entries' offsets of a CAR file.
pub fn read_car(bytes: &[u8]) -> (Cid, BTreeSet<Cid>, Vec<(Cid, u64)>) {
    let mut reader = CarReader::new();
    reader.push(bytes);
    let (mut root, mut entries) = (None, Vec::new());
    while let Some(event) = reader.next().unwrap() {
        match event {
            CarEvent::Header { roots } => root = roots.first().copied(),
            CarEvent::Block { cid, offset, .. } => entries.push((cid, offset)),
        }
    }
    reader.finish().unwrap();
    (root.unwrap(), entries.iter().map(|(cid, _)| *cid).collect(), entries)
}

/// Follows quietly, keeps what is given out, and may lose interest.
#[derive(Default)]
pub struct Quiet {
    pub out: Mutex<Vec<u8>>,
    pub seen: Mutex<Vec<Progress>>,
    /// Cancelled once this many blocks are written.
    pub until_written: Option<u64>,
}

#[async_trait]
impl Follower for Quiet {
    fn progress(&self, progress: Progress) {
        self.seen.lock().unwrap().push(progress);
    }

    async fn bytes(&self, bytes: Bytes) -> Result<()> {
        self.out.lock().unwrap().extend_from_slice(&bytes);
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        let written =
            |p: &Progress| p.phase == work::Phase::Write && self.until_written.is_some_and(|until| p.done >= until);
        self.seen.lock().unwrap().iter().any(written)
    }

    async fn cancelled(&self) {
        std::future::pending().await
    }
}

/// Bytes as an open file.
pub fn file(bytes: &[u8]) -> File {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub async fn import(backend: &dyn Backend, bytes: &[u8]) -> Result<Imported> {
    import_followed(backend, bytes, Arc::new(Quiet::default())).await
}

pub async fn import_followed(backend: &dyn Backend, bytes: &[u8], follower: Arc<Quiet>) -> Result<Imported> {
    let request = Request::Import { name: "some.car".into() };
    let follower: Arc<dyn Follower> = follower;
    match work::perform(backend, request, Some(file(bytes)), &follower).await? {
        Outcome::Imported(imported) => Ok(imported),
        other => panic!("an import gave {other:?}"),
    }
}

pub async fn export(backend: &dyn Backend, did: &Did, since: Option<Tid>) -> Result<Vec<u8>> {
    let quiet = Quiet::default();
    work::export(backend, did, since, &quiet).await?;
    Ok(quiet.out.into_inner().unwrap())
}

pub async fn has_account(backend: &dyn Backend, did: &Did) -> bool {
    backend.account(&AccountName::Did(did.clone())).await.unwrap().is_some()
}
