//! Damage that one copy of the bytes would not survive, healed from the parity beside them (promise P7).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::dying::DyingDisk;
use crate::common::story::{
    Person, closed_story, copy, files, key, read_all, read_all_in, roomy, small, with_ending, write_story,
};
use crate::stepped_store::Stepped;
use backend_api::{Maintenance, Reason, SnapshotItem};
use backend_tranquil::io::Env;
use backend_tranquil::stepped::Part;
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::snapshot;

const CHUNK: usize = 4 << 10;
const STRIPE: usize = 64 << 10;

fn harmed(from: &Path, harm: impl FnOnce(&Path)) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    harm(to.path());
    to
}

fn change(path: &Path, at: usize, len: usize) {
    let mut bytes = fs::read(path).unwrap();
    let end = (at + len).min(bytes.len());
    bytes[at..end].iter_mut().for_each(|b| *b ^= 0x55);
    fs::write(path, bytes).unwrap();
}

fn counter(stats: &backend_api::Stats, name: &str) -> u64 {
    stats.counters.iter().find(|(n, _)| n == name).unwrap().1
}

/// Nothing but the log, the events and the copies: what is read again of the log is all of it.
fn without_derived(directory: &Path) {
    drop(fs::remove_dir_all(directory.join("meta")));
    for hint in with_ending(&directory.join("log"), "hint") {
        fs::remove_file(hint).unwrap();
    }
}

fn damaged_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.damaged-1", path.display()))
}

async fn heals(options: Options, name: &Path, before: &[SnapshotItem], right: &[u8], what: &str) {
    let path = options.directory.join(name);
    let harmed = fs::read(&path).unwrap();
    let store = Tranquil::open(options).unwrap_or_else(|e| panic!("{what}: {e}"));
    let healed = counter(&store.stats().await.unwrap(), "healed_bytes");
    assert!(healed > 0, "{what}: nothing was healed");
    assert_eq!(difference(before, &snapshot(&*store).await.unwrap()), None, "{what}");
    store.close().await.unwrap();
    assert!(fs::read(&path).unwrap().starts_with(right), "{what}: other bytes than there were");
    assert_eq!(fs::read(damaged_of(&path)).unwrap(), harmed, "{what}: what was damaged is not kept");
}

/// A closed store whose log has one sealed file and more.
async fn story() -> (tempfile::TempDir, Vec<SnapshotItem>) {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    without_derived(dir.path());
    (dir, before)
}

/// All bytes of a file are tried by `parity`'s own tests; here some of each part, each with an open.
#[tokio::test]
async fn a_flipped_byte_of_a_log_file_is_healed_at_open() {
    let (dir, before) = story().await;
    let logs = with_ending(&dir.path().join("log"), "log");
    assert!(logs.len() > 2, "sealed files, and the newest");
    for log in [&logs[0], &logs[logs.len() - 1]] {
        let (name, right) = (log.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(log).unwrap());
        let header = [0, 9, 13, 29, 37, 45, 61];
        for at in header.into_iter().chain((64..right.len()).step_by(right.len() / 30)) {
            let bad = harmed(dir.path(), |d| change(&d.join(&name), at, 1));
            heals(small(bad.path()), &name, &before, &right, &format!("{} byte {at}", name.display())).await;
        }
    }
}

/// Log files are made aside, with their header: one without is damaged, also if it looks as if it had just been begun.
#[tokio::test]
async fn a_log_file_that_looks_unbegun_is_healed_and_never_removed() {
    let (dir, before) = story().await;
    let log = with_ending(&dir.path().join("log"), "log").pop().unwrap();
    let (name, right) = (log.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(&log).unwrap());
    for len in [0, 10, 64, right.len()] {
        let bad = harmed(dir.path(), |d| fs::write(d.join(&name), vec![0; len]).unwrap());
        heals(small(bad.path()), &name, &before, &right, &format!("{len} zeros")).await;
    }
}

/// A copy of the metadata that cannot be read is passed over, and with it goes what vouched for the events. What lies
/// behind damage in a segment is no torn tail all the same: its sidecar was made of what was durable.
#[tokio::test]
async fn a_damaged_segment_is_healed_also_where_no_checkpoint_vouches_for_it() {
    let (dir, before) = story().await;
    fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    let segments = with_ending(&dir.path().join("events"), "segment");
    assert!(segments.len() > 1, "a sealed segment, and the newest");
    for segment in [&segments[0], &segments[segments.len() - 1]] {
        let (name, right) = (segment.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(segment).unwrap());
        for at in [9, 64, right.len() / 2, right.len() - 1] {
            let bad = harmed(dir.path(), |d| change(&d.join(&name), at, 1));
            heals(small(bad.path()), &name, &before, &right, &format!("{} byte {at}", name.display())).await;
        }
        let short = harmed(dir.path(), |d| {
            let file = fs::OpenOptions::new().write(true).open(d.join(&name)).unwrap();
            file.set_len(64).unwrap();
        });
        heals(small(short.path()), &name, &before, &right, &format!("{} cut off", name.display())).await;
    }
}

/// A store with one log file of several stripes, closed.
async fn large_story(stripes: usize) -> (tempfile::TempDir, Vec<SnapshotItem>, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Tranquil::open(large(dir.path())).unwrap();
    let mut person = Person::create(&*store, "alice", 1).await.unwrap();
    let name = PathBuf::from("log/0000000001.log");
    let text = "a long note ".repeat(700);
    for n in 0..stripes * STRIPE / text.len() + 1 {
        person.post(&*store, &format!("{n}: {text}")).await.unwrap();
    }
    let before = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    without_derived(dir.path());
    let right = fs::read(dir.path().join(&name)).unwrap();
    assert!(right.len() > stripes * STRIPE);
    (dir, before, name, right)
}

fn large(directory: &Path) -> Options {
    Options { log_file_bytes: 64 << 20, segment_bytes: 64 << 20, memtable_bytes_max: 64 << 20, ..small(directory) }
}

#[tokio::test]
async fn a_burst_is_healed_wherever_it_begins() {
    let (dir, before, name, right) = large_story(3).await;
    for at in [0, 1, CHUNK - 1, STRIPE - 30_000, right.len() - 61_441] {
        let bad = harmed(dir.path(), |d| change(&d.join(&name), at, STRIPE - CHUNK + 1));
        heals(large(bad.path()), &name, &before, &right, &format!("a burst from {at}")).await;
    }
    let bad = harmed(dir.path(), |d| {
        let file = fs::OpenOptions::new().write(true).open(d.join(&name)).unwrap();
        file.set_len(right.len() as u64 - 50_000).unwrap();
    });
    heals(large(bad.path()), &name, &before, &right, "the end cut off").await;
}

/// Two damaged chunks of one column: one parity cannot tell two.
#[tokio::test]
async fn what_cannot_be_healed_is_named_and_left_alone() {
    let (dir, _, name, _) = large_story(3).await;
    let bad = harmed(dir.path(), |d| {
        change(&d.join(&name), 5_000, 1);
        change(&d.join(&name), 5_000 + STRIPE, 1);
        change(&d.join(&name), 20_000, 1);
    });
    let before: Vec<_> = files(bad.path()).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let error = read_all(large(bad.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DataCorrupt, "{error}");
    let said = "0000000001.log: offset 4096: 2 of 3 damaged chunks cannot be told from its sidecar";
    assert!(error.detail().contains(said), "{error}");
    for (bytes, path) in before {
        assert_eq!(fs::read(&path).unwrap(), bytes, "{}: something was changed", path.display());
    }
}

/// The last cycle that was acknowledged, damaged, looks like one that never was: its sidecar knows better. Rows have no
/// events that would tell.
#[tokio::test]
async fn a_damaged_last_cycle_is_no_torn_tail() {
    let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Tranquil::open(roomy(live.path())).unwrap();
    write_story(&*store, 6).await;
    let row = backend_api::Row::new(backend_api::RowKind::Session, b"last".to_vec(), vec![7; 300]);
    let op = backend_api::Op::PutRow { row, expect: backend_api::Expect::Absent };
    let did = conformance::scene::did("alice");
    let mutation = backend_api::Mutation { did, key: key(77), ops: vec![op], blocks: Vec::new() };
    backend_api::Writes::apply(&*store, mutation).await.unwrap();
    let before = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    copy(live.path(), dead.path());
    without_derived(dead.path());
    let name = Path::new("log/0000000001.log");
    let right = fs::read(dead.path().join(name)).unwrap();
    let bad = harmed(dead.path(), |d| change(&d.join(name), right.len() - 100, 1));
    heals(roomy(bad.path()), name, &before, &right, "the last cycle").await;
    // Without it there is no telling, as ever.
    let bad = harmed(dead.path(), |d| {
        change(&d.join(name), right.len() - 100, 1);
        fs::remove_file(d.join("log/0000000001.parity")).unwrap();
    });
    assert!(difference(&before, &read_all(roomy(bad.path())).await.unwrap()).is_some());
}

/// While a store is open its newest file is covered up to the last drain.
#[tokio::test]
async fn the_file_that_is_being_written_is_covered() {
    let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Tranquil::open(roomy(live.path())).unwrap();
    write_story(&*store, 9).await;
    store.checkpoint().await.unwrap();
    let (sidecar, name) = (live.path().join("log/0000000001.parity"), Path::new("log/0000000001.log"));
    let covered = covered_when_there(&sidecar).await;
    let mut dave = Person::create(&*store, "dave", 9_000_000).await.unwrap();
    dave.post(&*store, "behind what is covered").await.unwrap();
    copy(live.path(), dead.path());
    let before = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    without_derived(dead.path());
    let right = fs::read(dead.path().join(name)).unwrap()[..covered].to_vec();
    for at in [10, covered / 2, covered - 10] {
        let bad = harmed(dead.path(), |d| change(&d.join(name), at, 1));
        heals(roomy(bad.path()), name, &before, &right, &format!("byte {at} of {covered}")).await;
    }
}

/// What stands behind the end of what is covered is copied with it, and nothing tells of one bad read.
#[tokio::test]
async fn a_bad_read_while_a_file_is_healed_is_not_copied() {
    let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Tranquil::open(roomy(live.path())).unwrap();
    write_story(&*store, 9).await;
    store.checkpoint().await.unwrap();
    let name = Path::new("events/0000000000000001.parity");
    let covered = covered_when_there(&live.path().join(name)).await;
    let sidecar = fs::read(live.path().join(name)).unwrap();
    let mut dave = Person::create(&*store, "dave", 9_000_000).await.unwrap();
    dave.post(&*store, "behind what is covered").await.unwrap();
    // Whoever writes is answered before the event is in its file.
    while counter(&store.stats().await.unwrap(), "events_waiting_bytes") > 0 {}
    let before = snapshot(&*store).await.unwrap();
    copy(live.path(), dead.path());
    let segment = dead.path().join("events/0000000000000001.segment");
    fs::write(dead.path().join(name), sidecar).unwrap();
    change(&segment, 100, 1);
    let bytes = fs::read(&segment).unwrap();
    assert!(covered < bytes.len());
    let faults = Arc::<Faults>::default();
    faults.set(Some(Fault::BadTail("1.segment")));
    let env = Env { disk: Arc::new(FaultDisk(faults)), ..Env::real() };
    let error = read_all_in(env, roomy(dead.path())).await.unwrap_err();
    assert!(error.detail().contains("two reads gave different bytes"), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "it is what it was");
    assert_eq!(difference(&before, &read_all(roomy(dead.path())).await.unwrap()), None);
}

/// What a sidecar with one entry covers, once it has one: it is made behind a checkpoint, which waits for no sidecar.
async fn covered_when_there(sidecar: &Path) -> usize {
    loop {
        let bytes = fs::read(sidecar).unwrap_or_default();
        if bytes.len() > 4_000 {
            return u32::from_le_bytes(bytes[72..76].try_into().unwrap()) as usize;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_damaged_block_is_served_from_parity() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    let log = with_ending(&dir.path().join("log"), "log").remove(0);
    let (name, len) = (log.strip_prefix(dir.path()).unwrap().to_owned(), fs::metadata(&log).unwrap().len() as usize);
    let mut served = 0;
    for at in (64..len).step_by(len / 20) {
        // The metadata is there: the open reads nothing of this file.
        let bad = harmed(dir.path(), |d| change(&d.join(&name), at, 1));
        let store = Tranquil::open(small(bad.path())).unwrap();
        assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None, "byte {at}");
        served += counter(&store.stats().await.unwrap(), "mended_reads");
    }
    assert!(served > 5, "{served}");
}

#[tokio::test]
async fn a_damaged_segment_is_healed_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 12).await;
    let segment = with_ending(&dir.path().join("events"), "segment").remove(0);
    let (name, right) = (segment.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(&segment).unwrap());
    for at in [3, 12, 61].into_iter().chain((64..right.len()).step_by(right.len() / 30)) {
        let bad = harmed(dir.path(), |d| change(&d.join(&name), at, 1));
        heals(roomy(bad.path()), &name, &before, &right, &format!("{} byte {at}", name.display())).await;
    }
}

/// A damaged copy of the metadata alone keeps no open from its end: the log is replayed from the one before it. Repair heals it.
#[tokio::test]
async fn a_damaged_snapshot_is_healed_by_repair() {
    let dir = tempfile::tempdir().unwrap();
    let options = |d: &Path| Options { snapshot_log_bytes_min: 1, ..small(d) };
    let before = closed_story(options(dir.path()), 30).await;
    let copy = with_ending(&dir.path().join("snapshots"), "snapshot").remove(0);
    let (name, right) = (copy.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(&copy).unwrap());
    for at in (0..right.len()).step_by(right.len() / 20) {
        let bad = harmed(dir.path(), |d| change(&d.join(&name), at, 1));
        let options = Options { repair: true, ..options(bad.path()) };
        heals(options, &name, &before, &right, &format!("{} byte {at}", name.display())).await;
    }
}

/// Of two files that say who the store is, one is enough.
#[tokio::test]
async fn the_identity_has_a_second_copy() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 6).await;
    let right = fs::read(dir.path().join("STORE")).unwrap();
    assert_eq!(fs::read(dir.path().join("STORE.copy")).unwrap(), right);
    for name in ["STORE", "STORE.copy"] {
        for at in 0..64 {
            let bad = harmed(dir.path(), |d| change(&d.join(name), at, 1));
            assert_eq!(difference(&before, &read_all(roomy(bad.path())).await.unwrap()), None, "{name} byte {at}");
            assert_eq!(fs::read(bad.path().join(name)).unwrap(), right, "{name} byte {at}");
        }
        let bad = harmed(dir.path(), |d| fs::remove_file(d.join(name)).unwrap());
        assert_eq!(difference(&before, &read_all(roomy(bad.path())).await.unwrap()), None, "{name} missing");
        assert_eq!(fs::read(bad.path().join(name)).unwrap(), right, "{name} missing");
    }
    let bad = harmed(dir.path(), |d| ["STORE", "STORE.copy"].iter().for_each(|name| change(&d.join(name), 20, 1)));
    assert_eq!(read_all(roomy(bad.path())).await.unwrap_err().reason(), Reason::DataCorrupt);
}

/// A sidecar is derived: whatever is wrong with it, the store opens, answers the same, and has it again.
#[tokio::test]
async fn a_damaged_sidecar_does_no_harm() {
    let (dir, before) = story().await;
    let sidecar = with_ending(&dir.path().join("log"), "parity").remove(0);
    let (name, right) = (sidecar.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(&sidecar).unwrap());
    let same = |bad: tempfile::TempDir, what: String| {
        let (before, right, name) = (&before, &right, &name);
        async move {
            assert_eq!(difference(before, &read_all(small(bad.path())).await.unwrap()), None, "{what}");
            assert!(fs::read(bad.path().join(name)).unwrap() == *right, "{what}: it was not made again");
        }
    };
    for at in (0..right.len()).step_by(right.len() / 30) {
        same(harmed(dir.path(), |d| change(&d.join(&name), at, 1)), format!("byte {at}")).await;
    }
    same(harmed(dir.path(), |d| fs::remove_file(d.join(&name)).unwrap()), "missing".into()).await;
    same(harmed(dir.path(), |d| fs::write(d.join(&name), []).unwrap()), "empty".into()).await;
    // And with a damaged file beside it, nothing is invented.
    let bad = harmed(dir.path(), |d| {
        change(&d.join(&name), 200, 1);
        change(&d.join("log/0000000001.log"), 200, 1);
    });
    let error = read_all(small(bad.path())).await.unwrap_err();
    assert!(error.reason() == Reason::DataCorrupt && error.detail().contains("0000000001.log"), "{error}");
}

/// A file that was put there by somebody is not healed to what stood there: it is told.
#[tokio::test]
async fn a_foreign_file_is_no_damage() {
    let (dir, _) = story().await;
    let (other, _) = story().await;
    let name = Path::new("log/0000000001.log");
    let bad = harmed(dir.path(), |d| {
        fs::copy(other.path().join(name), d.join(name)).unwrap();
    });
    let error = read_all(small(bad.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WrongStore, "{error}");
    assert_eq!(fs::read(bad.path().join(name)).unwrap(), fs::read(other.path().join(name)).unwrap());
}

/// A crash at every step of healing, and once more while that is made good: whatever was there stays, and the next open
/// heals it.
#[tokio::test]
async fn a_crash_while_healing_loses_nothing() {
    let (dir, before) = story().await;
    let name = Path::new("log/0000000001.log");
    let right = fs::read(dir.path().join(name)).unwrap();
    let damaged = harmed(dir.path(), |d| change(&d.join(name), 900, 1));
    let wrong = fs::read(damaged.path().join(name)).unwrap();
    let dying = |changes| Env { disk: Arc::new(DyingDisk::after(changes)), ..Env::real() };
    for changes in 0.. {
        let bad = harmed(damaged.path(), |_| ());
        let opened = Tranquil::open_in(dying(changes), small(bad.path()));
        let is_healed = damaged_of(&bad.path().join(name)).exists() && bad.path().join(name).exists();
        drop(opened);
        if is_healed {
            // Everything behind it is an open like any other.
            assert!(changes > 6, "{changes} steps");
            break;
        }
        if changes % 3 == 0 {
            drop(Tranquil::open_in(dying(3), small(bad.path())));
        }
        let after = read_all(small(bad.path())).await.unwrap_or_else(|e| panic!("after {changes} changes: {e}"));
        assert_eq!(difference(&before, &after), None, "after {changes} changes");
        assert_eq!(fs::read(bad.path().join(name)).unwrap(), right, "after {changes} changes");
        assert_eq!(fs::read(damaged_of(&bad.path().join(name))).unwrap(), wrong, "after {changes} changes");
        let left = files(bad.path()).into_iter().filter(|path| path.to_string_lossy().contains(".healed")).count();
        assert_eq!(left, 0, "after {changes} changes: something unfinished stays");
    }
}

/// What is rotten gets no sidecar, for it would be healed to what it is. All that is written after it gets its own.
#[tokio::test]
async fn a_rotten_file_keeps_no_other_from_its_sidecar() {
    for (room, ending) in [("log", "log"), ("events", "segment")] {
        let dir = tempfile::tempdir().unwrap();
        closed_story(small(dir.path()), 60).await;
        let rotten = with_ending(&dir.path().join(room), ending).remove(1);
        without_derived(dir.path());
        fs::remove_file(rotten.with_extension("parity")).unwrap();
        let middle = fs::metadata(&rotten).unwrap().len() / 2;
        // A copy of the metadata is newer than that: nothing reads it again but for its sidecar.
        let options = || Options { snapshot_log_bytes_min: 1 << 40, ..small(dir.path()) };
        let store = Tranquil::open(options()).unwrap();
        store.close().await.unwrap();
        fs::remove_file(rotten.with_extension("parity")).unwrap_or_default();
        change(&rotten, middle as usize, 1);
        let store = Tranquil::open(options()).unwrap();
        let mut dave = Person::create(&*store, "dave", 500_000_000).await.unwrap();
        for i in 0..120 {
            dave.post(&*store, &format!("later {i}")).await.unwrap();
        }
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        let files = with_ending(&dir.path().join(room), ending);
        let without: Vec<_> = files.iter().filter(|path| !path.with_extension("parity").exists()).collect();
        assert_eq!(without, [&rotten], "of {} files", files.len());
    }
}

/// Nor is it covered later, when more was written behind it.
#[test]
fn what_is_rotten_is_not_covered_with_what_comes_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = Stepped::open(roomy(dir.path()));
    let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
    let mut post = |text: &str| db.run(alice.post(&*db.store, text)).unwrap();
    (0..20).for_each(|_| drop(post("a note")));
    let log = dir.path().join("log/0000000001.log");
    let at = fs::read(&log).unwrap().windows(6).position(|bytes| bytes == b"a note").unwrap();
    change(&log, at, 1);
    for _ in 0..2 {
        post("another one");
        db.run(db.store.checkpoint()).unwrap();
        while db.steps.step(Part::Keep) {}
        assert!(!log.with_extension("parity").exists());
    }
    change(&log, at, 1);
}
