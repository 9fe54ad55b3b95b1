//! What must hold for any bytes at all that are given to the importer. Run by the fuzz target beside this file, and with
//! mutated seeds by `tests/decoders.rs`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use backend_api::car::{self, CarEvent, CarReader};
use backend_api::tree::CommitBlock;
use backend_api::{AccountName, At, Backend, Cid, Micros, Pos, Result, VerifyLevel};
use bytes::Bytes;
use conformance::{ManualClock, Model, Options};
use pds::cli::work::{self, Follower, Imported, Outcome, Progress, Request};
use tokio::runtime::Runtime;

const NAME: &str = "some.car";

/// Keeps what is given out.
#[derive(Default)]
struct Quiet(Mutex<Vec<u8>>);

#[async_trait]
impl Follower for Quiet {
    fn progress(&self, _: Progress) {}

    async fn bytes(&self, bytes: Bytes) -> Result<()> {
        self.0.lock().expect("no panic under this lock").extend_from_slice(&bytes);
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn cancelled(&self) {
        std::future::pending().await
    }
}

/// A file is taken in whole, and then it is a repository that verifies and is given out with the blocks that it came with;
/// or it is refused by name, and has left no trace.
pub fn import(bytes: &[u8]) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        runtime.expect("a runtime")
    });
    runtime.block_on(imported(bytes));
    if let Some(rehashed) = rehashed(bytes) {
        runtime.block_on(imported(&rehashed));
    }
}

async fn imported(bytes: &[u8]) {
    let options = Options { history_window_micros: 1_000_000, event_retention_micros: 1_000_000 };
    let backend = Model::new(options, Arc::new(ManualClock::new(Micros(1_700_000_000_000_000))));
    match perform(&backend, bytes).await {
        Ok(imported) => is_whole(&backend, &imported, bytes).await,
        Err(e) => {
            assert!(e.detail().contains(NAME), "{e}");
            let position = backend_api::Changes::position(&backend).await.expect("a position");
            assert_eq!(position, Pos(0), "nothing is written of what is refused: {e}");
        }
    }
}

async fn perform(backend: &dyn Backend, bytes: &[u8]) -> Result<Imported> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("it is written");
    let follower: Arc<dyn Follower> = Arc::new(Quiet::default());
    let request = Request::Import { name: NAME.into() };
    match work::perform(backend, request, Some(file), &follower).await? {
        Outcome::Imported(imported) => Ok(imported),
        other => panic!("an import gave {other:?}"),
    }
}

async fn is_whole(backend: &dyn Backend, imported: &Imported, bytes: &[u8]) {
    let report = backend.verify(VerifyLevel::Deep).await.expect("it is verified");
    assert_eq!(report.problems, Vec::<String>::new());
    let state = backend.repo(&imported.did, At::Head).await.expect("it is read").expect("a repo");
    assert_eq!((state.head.cid, state.head.rev), (imported.commit, imported.rev));
    assert!(backend.account(&AccountName::Did(imported.did.clone())).await.expect("it is read").is_some());
    let out = Quiet::default();
    work::export(backend, &imported.did, None, &out).await.expect("it is given out");
    let out = out.0.into_inner().expect("no panic under this lock");
    let ((root, given), (_, taken)) = (read(&out).expect("a CAR file"), read(bytes).expect("it was taken"));
    assert_eq!(root, Some(imported.commit));
    assert!(given.len() as u64 == imported.blocks && given.is_subset(&taken), "{imported:?}");
}

type Contents = (Option<Cid>, BTreeSet<(Cid, Bytes)>);

fn read(bytes: &[u8]) -> Result<Contents> {
    let mut reader = CarReader::new();
    reader.push(bytes);
    let (mut root, mut blocks) = (None, BTreeSet::new());
    while let Some(event) = reader.next()? {
        match event {
            CarEvent::Header { roots } => root = roots.first().copied(),
            CarEvent::Block { cid, bytes, .. } => drop(blocks.insert((cid, bytes))),
        }
    }
    reader.finish().map(|()| (root, blocks))
}

/// The bytes as entries of a CAR file: each as long as it says, with the CID of what it holds, the first commit as root.
fn rehashed(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = usize::from(*bytes.first()?) + 1;
    let (mut rest, mut blocks) = (bytes.get(header..)?, Vec::new());
    while let Some((length, skip)) = varint(rest) {
        let Some(entry) = rest.get(skip..skip + length).filter(|entry| entry.len() > Cid::BYTES) else { break };
        blocks.push((Cid::of_block(&entry[Cid::BYTES..]), &entry[Cid::BYTES..]));
        rest = &rest[skip + length..];
    }
    let (root, _) = blocks.iter().find(|(_, block)| CommitBlock::decode(block).is_ok())?;
    let mut out = car::header(*root);
    blocks.iter().for_each(|(cid, block)| car::append_block(&mut out, cid, block));
    Some(out)
}

/// A number below 2^14, and its bytes.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes {
        [low @ 0..0x80, ..] => Some((usize::from(*low), 1)),
        [low, high @ 0..0x80, ..] => Some((usize::from(*low & 0x7f) | usize::from(*high) << 7, 2)),
        _ => None,
    }
}
