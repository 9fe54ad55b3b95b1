//! Rebuilding the metadata store from a copy: in little memory, and from a whole copy or not at all (promise P7).

use std::fs;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::story::{closed_story, copy, key, read_all, roomy, small, with_ending};
use crate::stepped_store::{CountingKv, Stepped};
use backend_api::{
    Backend, Expect, Maintenance, Micros, Mutation, Op, Result, Row, RowKey, RowKind, SnapshotItem, Writes,
};
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
    // Within a row near its end, which is not deleted after it.
    let row = 1_000_020_u64.to_be_bytes();
    let at = bytes.windows(row.len()).position(|window| window == row).unwrap();
    assert!(at > bytes.len() / 2);
    bytes[at + 100] ^= 1;
    fs::write(&copy, bytes).unwrap();
    // Nothing is there to heal it from.
    with_ending(&dir.path().join("snapshots"), "parity").iter().for_each(|sidecar| fs::remove_file(sidecar).unwrap());
    assert_eq!(difference(&before, &read_all(options(dir.path())).await.unwrap()), None);
}

/// A store over metadata that a test may change.
fn open_over(directory: &Path, kv: &CountingKv) -> Result<Stepped> {
    let opened = kv.clone();
    let (store, steps) = Tranquil::open_stepped(Env::real(), roomy(directory), move |path: &Path| {
        fs::create_dir_all(path).unwrap();
        Ok(Arc::new(opened.clone()) as Arc<dyn MetaKv>)
    })?;
    Ok(Stepped { store, kv: kv.clone(), steps: Arc::new(steps) })
}

/// Replay does again what was done, or says that the metadata under it is not what it was.
#[test]
fn replay_over_other_metadata_is_told() {
    let mutation = |n, op| Mutation { did: did("alice"), key: key(n), ops: vec![op], blocks: Vec::new() };
    let put = |n: u64, expires_at| {
        let row = Row { expires_at, ..Row::new(RowKind::Session, [b'r', n as u8], vec![7; 100]) };
        mutation(n, Op::PutRow { row, expect: Expect::Any })
    };
    type Harm = fn(&[u8], &mut Vec<u8>) -> bool;
    let position: Harm = |key, value| {
        let is_it = key == [0, 0];
        if is_it {
            value[1] += 1;
        }
        is_it
    };
    // The row's time: deleted, it leaves another entry of the index than it has.
    let content: Harm = |key, value| {
        let is_it = key.ends_with(b"r\x01") && value.len() > 100;
        if is_it {
            let at = value.windows(2).position(|w| w == [0xff, 0x01]).unwrap();
            value[at] = 0xfe;
        }
        is_it
    };
    for (harm, told) in [(position, "the metadata stands at mutation 4"), (content, "something else than it did")] {
        let (dir, kv) = (tempfile::tempdir().unwrap(), CountingKv::default());
        let stepped = open_over(dir.path(), &kv).unwrap();
        stepped.run(stepped.store.apply(mutation(0, create_account("alice")))).unwrap();
        stepped.run(stepped.store.apply(put(1, Some(Micros(255))))).unwrap();
        stepped.run(stepped.store.apply(put(2, None))).unwrap();
        stepped.run(stepped.store.checkpoint()).unwrap();
        let row = RowKey { kind: RowKind::Session, key: b"r\x01".to_vec() };
        stepped.run(stepped.store.apply(mutation(4, Op::DeleteRow { key: row, expect: Expect::Any }))).unwrap();
        drop(stepped);
        let pairs: Vec<_> =
            kv.snapshot().range(Bound::Unbounded, Bound::Unbounded, false).map(Result::unwrap).collect();
        let mut harmed = 0;
        for (key, value) in pairs {
            let mut value = value.to_vec();
            if harm(&key, &mut value) {
                kv.ingest(&mut std::iter::once((key.to_vec(), Some(value)))).unwrap();
                harmed += 1;
            }
        }
        assert_eq!(harmed, 1);
        let error = open_over(dir.path(), &kv).map(drop).unwrap_err();
        assert!(error.detail().contains(told), "{error}");
    }
}

/// Hints only save reading: those of another file are passed over.
#[tokio::test]
async fn hints_of_another_file_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let never = || Options { snapshot_log_bytes_min: 1 << 40, log_file_bytes: 16 << 10, ..options(dir.path()) };
    let store = Tranquil::open(never()).unwrap();
    write(&*store, 0..1, |n| if n == 0 { create_account("alice") } else { put(1_000_000 + n) }).await;
    write(&*store, 1_000..1_000 + ROWS, put).await;
    let before = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    let hints = with_ending(&dir.path().join("log"), "hint");
    let aside = dir.path().join("aside");
    fs::rename(&hints[0], &aside).unwrap();
    fs::rename(&hints[1], &hints[0]).unwrap();
    fs::rename(&aside, &hints[1]).unwrap();
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    assert_eq!(difference(&before, &read_all(never()).await.unwrap()), None);
}

/// A mark that no cycle can have written is told, and nothing is worked out from it.
#[test]
fn a_mark_within_the_first_header_of_the_log_is_refused() {
    let (dir, kv) = (tempfile::tempdir().unwrap(), CountingKv::default());
    let stepped = open_over(dir.path(), &kv).unwrap();
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
    let error = open_over(dir.path(), &kv).map(drop).unwrap_err();
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

/// The commit log has every event: it is replayed from a copy that tells of none that is lost, or from its first file.
#[tokio::test]
async fn the_newest_events_that_are_lost_with_the_metadata_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        |directory: &Path| Options { snapshot_log_bytes_min: 1, memtable_bytes_max: 16 << 10, ..small(directory) };
    let before = closed_story(options(dir.path()), 120).await;
    let segments = with_ending(&dir.path().join("events"), "segment");
    assert!(segments.len() > 3 && !with_ending(&dir.path().join("snapshots"), "snapshot").is_empty());
    for lost in 1..=segments.len() {
        for has_copies in [false, true] {
            let harmed = tempfile::tempdir().unwrap();
            copy(dir.path(), harmed.path());
            fs::remove_dir_all(harmed.path().join("meta")).unwrap();
            if !has_copies {
                fs::remove_dir_all(harmed.path().join("snapshots")).unwrap();
            }
            for segment in &segments[segments.len() - lost..] {
                let segment = harmed.path().join(segment.strip_prefix(dir.path()).unwrap());
                for file in [segment.clone(), segment.with_extension("index"), segment.with_extension("parity")] {
                    let _ = fs::remove_file(file);
                }
            }
            let what = format!("without the newest {lost}, copies: {has_copies}");
            let after = read_all(options(harmed.path())).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(difference(&before, &after), None, "{what}");
        }
    }
}

/// A power cut brings copies back whose names were gone, and an error may keep them: they go when the store is opened, and not
/// only when the next copy is due.
#[tokio::test]
async fn copies_that_came_back_go_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = |copies_from: u64| Options { snapshot_log_bytes_min: copies_from, ..small(dir.path()) };
    let there = || with_ending(&dir.path().join("snapshots"), "snapshot");
    let mut gone = Vec::new();
    for round in 0..5 {
        let store = Tranquil::open(options(1)).unwrap();
        write(&*store, round * 50 + 1..round * 50 + 2, |n| if n == 1 { create_account("alice") } else { put(n) }).await;
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        gone.extend(there().into_iter().map(|path| (fs::read(&path).unwrap(), path)));
    }
    let kept = there();
    assert_eq!(kept.len(), 2);
    for (bytes, path) in &gone {
        fs::write(path, bytes).unwrap();
    }
    assert!(there().len() > 4, "{:?}", there());
    let store = Tranquil::open(options(1 << 40)).unwrap();
    store.close().await.unwrap();
    assert_eq!(there(), kept);
}
