//! Rebuilding the metadata store from a copy: in little memory, and from a whole copy or not at all (promise P7).

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::story::{key, read_all, roomy, with_ending};
use crate::stepped_store::{CountingKv, Stepped};
use backend_api::{Backend, Expect, Maintenance, Mutation, Op, Result, Row, RowKind, SnapshotItem, Writes};
use backend_tranquil::io::Env;
use backend_tranquil::stepped::{MetaKv, MetaSnapshot};
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::scene::did;
use conformance::{create_account, snapshot};

const ROWS: u64 = 3_000;

fn options(directory: &Path) -> Options {
    Options { snapshot_log_bytes_min: 1, log_file_bytes: 64 << 20, memtable_bytes_max: 64 << 20, ..roomy(directory) }
}

async fn write(store: &dyn Backend, keys: Range<u64>, op: impl Fn(u64) -> Op) {
    for n in keys.step_by(50) {
        let mutation =
            Mutation { did: did("alice"), key: key(n), ops: (n..n + 50).map(&op).collect(), blocks: Vec::new() };
        store.apply(mutation).await.unwrap();
    }
}

/// A closed store with a copy of many rows, which were deleted after it.
async fn story(directory: &Path) -> Vec<SnapshotItem> {
    let store = Tranquil::open(options(directory)).unwrap();
    write(&*store, 0..1, |n| if n == 0 { create_account("alice") } else { put(1_000_000 + n) }).await;
    write(&*store, 1_000..1_000 + ROWS, put).await;
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(with_ending(&directory.join("snapshots"), "snapshot").len(), 1);
    // The log must grow eightfold before the next one.
    let store = Tranquil::open(Options { snapshot_log_bytes_min: 1 << 40, ..options(directory) }).unwrap();
    write(&*store, 1_000_000..1_000_000 + ROWS, |n| Op::DeleteRow {
        key: backend_api::RowKey { kind: RowKind::Session, key: (n - 999_000).to_be_bytes().to_vec() },
        expect: Expect::Any,
    })
    .await;
    let items = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    fs::remove_dir_all(directory.join("meta")).unwrap();
    items
}

fn put(n: u64) -> Op {
    let row = Row::new(RowKind::Session, n.to_be_bytes(), vec![7; 1_000]);
    Op::PutRow { row, expect: Expect::Absent }
}

/// Notes how many pairs a run gave before the one that it is asked for now had been read: more than a chunk of them at
/// once would be memory in proportion to the store.
struct Streamed(CountingKv, Arc<AtomicUsize>, std::path::PathBuf);

impl MetaKv for Streamed {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let Some(first) = run.next() else { return Ok(()) };
        // What is read of the copy after the first pair was given must be there: a copy that was in memory would not miss
        // its end.
        for copy in with_ending(&self.2, "snapshot") {
            let file = fs::OpenOptions::new().write(true).open(copy).unwrap();
            file.set_len(1 << 20).unwrap();
        }
        let mut given = 0;
        let mut counted = std::iter::once(first).chain(run).inspect(|_| given += 1);
        let done = self.0.ingest(&mut counted);
        drop(counted);
        self.1.fetch_max(given, Ordering::SeqCst);
        done
    }
    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        self.0.snapshot()
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn close(&self) {}
}

#[tokio::test]
async fn a_copy_is_read_while_it_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    story(dir.path()).await;
    let copy = with_ending(&dir.path().join("snapshots"), "snapshot").remove(0);
    assert!(fs::metadata(&copy).unwrap().len() > 2 << 20);
    let (given, snapshots) = (Arc::new(AtomicUsize::new(0)), dir.path().join("snapshots"));
    let seen = Arc::clone(&given);
    let open_kv = move |path: &Path| -> Result<Arc<dyn MetaKv>> {
        fs::create_dir_all(path).unwrap();
        Ok(Arc::new(Streamed(CountingKv::default(), Arc::clone(&seen), snapshots.clone())))
    };
    let _store = Tranquil::open_stepped(Env::real(), options(dir.path()), open_kv).unwrap();
    let given = given.load(Ordering::SeqCst);
    assert!(given > 100 && given < ROWS as usize / 2, "it ends where the copy now ends: {given}");
}

/// A copy that is found damaged after half of it was taken in leaves nothing of that half.
#[tokio::test]
async fn half_a_copy_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let before = story(dir.path()).await;
    let copy = with_ending(&dir.path().join("snapshots"), "snapshot").remove(0);
    let mut bytes = fs::read(&copy).unwrap();
    let at = bytes.len() * 9 / 10;
    bytes[at] ^= 1;
    fs::write(&copy, bytes).unwrap();
    assert_eq!(difference(&before, &read_all(options(dir.path())).await.unwrap()), None);
}

/// A mark that no cycle can have written is told, and nothing is worked out from it.
#[test]
fn a_mark_within_the_first_header_of_the_log_is_refused() {
    let (dir, kv) = (tempfile::tempdir().unwrap(), CountingKv::default());
    let open = || {
        let opened = kv.clone();
        Tranquil::open_stepped(Env::real(), roomy(dir.path()), move |path: &Path| -> Result<Arc<dyn MetaKv>> {
            fs::create_dir_all(path).unwrap();
            Ok(Arc::new(opened.clone()))
        })
    };
    let (store, steps) = open().map(|(store, steps)| (store, Arc::new(steps))).unwrap();
    let stepped = Stepped { store, kv: kv.clone(), steps };
    let account =
        || Mutation { did: did("alice"), key: key(0), ops: vec![create_account("alice")], blocks: Vec::new() };
    stepped.run(stepped.store.apply(account())).unwrap();
    stepped.run(stepped.store.checkpoint()).unwrap();
    drop(stepped);
    // Its last field is the offset, of which each byte but the last is 0x80 or more.
    let mark = vec![0, 0];
    let mut value = kv.snapshot().get(&mark).unwrap().unwrap().to_vec();
    value.pop();
    while value.last().is_some_and(|byte| *byte >= 0x80) {
        value.pop();
    }
    value.push(20);
    kv.ingest(&mut std::iter::once((mark, Some(value)))).unwrap();
    let error = open().map(drop).unwrap_err();
    assert!(error.detail().contains("0000000001.log: offset 20: no cycle can end there"), "{error}");
}

/// A rebuild reads the log from the newest copy on. Hints of what is before would only take space.
#[tokio::test]
async fn there_are_hints_of_what_a_rebuild_reads() {
    let numbers = |dir: &Path, ending: &str| {
        let files = with_ending(&dir.join("log"), ending);
        let number = |path: &std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap();
        files.iter().map(number).collect::<Vec<_>>()
    };
    let dir = tempfile::tempdir().unwrap();
    let never = || Options { snapshot_log_bytes_min: 1 << 40, log_file_bytes: 16 << 10, ..options(dir.path()) };
    let store = Tranquil::open(never()).unwrap();
    write(&*store, 0..1, |n| if n == 0 { create_account("alice") } else { put(1_000_000 + n) }).await;
    write(&*store, 1_000..1_000 + ROWS, put).await;
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    let files = numbers(dir.path(), "log");
    assert!(files.len() > 4, "{files:?}");
    let hints = numbers(dir.path(), "hint");
    assert!(files.starts_with(&hints), "{hints:?}");
    assert!((2..=3).contains(&(files.len() - hints.len())), "all but the newest that are sealed: {hints:?} {files:?}");
    // Now there is a copy of all of it.
    let store = Tranquil::open(Options { snapshot_log_bytes_min: 1, ..never() }).unwrap();
    write(&*store, 50_000..50_050, put).await;
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(numbers(dir.path(), "hint"), Vec::<u32>::new());
    assert_eq!(with_ending(&dir.path().join("snapshots"), "snapshot").len(), 1);
    // And none is made of files that it is newer than, whoever opens the store.
    let store = Tranquil::open(never()).unwrap();
    write(&*store, 60_000..60_050, put).await;
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    let (files, hints) = (numbers(dir.path(), "log"), numbers(dir.path(), "hint"));
    assert!(hints.len() < 3 && hints.iter().all(|hint| files[files.len() - 5..].contains(hint)), "{hints:?} {files:?}");
}
