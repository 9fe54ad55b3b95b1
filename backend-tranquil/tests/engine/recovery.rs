//! What harm to the files may do, and what not (promises P1, P4, P7).

use std::fs;
use std::path::Path;

use crate::common::story::{
    Person, closed_story, copy, files, key, killed_story, read_all, roomy, small, with_ending, write_story,
};
use backend_api::{
    Changes as _, Expect, Maintenance as _, Mutation, Op, Pos, Reason, Row, RowKind, SnapshotItem, VerifyLevel,
    Writes as _,
};
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::scene::did;
use conformance::{create_account, snapshot};

fn assert_same(before: &[SnapshotItem], after: &[SnapshotItem], what: &str) {
    assert_eq!(difference(before, after), None, "{what}");
}

/// A copy of a directory, with harm done to it, and nothing to heal it from: what is healed is in `tests/healing.rs`.
fn harmed(from: &Path, harm: impl FnOnce(&Path)) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    for sidecar in with_ending(to.path(), "parity") {
        fs::remove_file(sidecar).unwrap();
    }
    harm(to.path());
    to
}

fn flip(path: &Path, at: usize, bit: u32) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_missing_metadata_store_is_rebuilt_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 60).await;
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let store = Tranquil::open(small(dir.path())).unwrap();
    let counters = backend_api::Maintenance::stats(&*store).await.unwrap().counters;
    let counter = |name: &str| counters.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!((counter("rebuilt"), counter("replayed")), (1, 63));
    assert_same(&before, &snapshot(&*store).await.unwrap(), "rebuilt");
}

#[tokio::test]
async fn a_missing_metadata_store_is_rebuilt_from_a_copy_and_the_log_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { snapshot_log_bytes_min: 1, memtable_bytes_max: 16 << 10, ..small(dir.path()) };
    let before = closed_story(options(), 120).await;
    let copies = with_ending(&dir.path().join("snapshots"), "snapshot");
    assert!(!copies.is_empty(), "a copy was written");
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let store = Tranquil::open(options()).unwrap();
    let counters = backend_api::Maintenance::stats(&*store).await.unwrap().counters;
    let replayed = counters.iter().find(|(n, _)| n == "replayed").unwrap().1;
    assert!(replayed < 123, "only what came after the copy was replayed: {replayed}");
    assert_same(&before, &snapshot(&*store).await.unwrap(), "rebuilt from a copy");
    backend_api::Maintenance::close(&*store).await.unwrap();
    // Damaged copies are passed over: the log alone is enough.
    for copy in with_ending(&dir.path().join("snapshots"), "snapshot") {
        let len = fs::metadata(&copy).unwrap().len() as usize;
        flip(&copy, len / 2, 3);
    }
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    assert_same(&before, &read_all(options()).await.unwrap(), "rebuilt past damaged copies");
}

#[tokio::test]
async fn a_damaged_metadata_store_never_gives_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    let meta = dir.path().join("meta");
    let (mut said, mut healed, mut harmless) = (0, 0, 0);
    for file in files(&meta) {
        let len = fs::metadata(&file).unwrap().len() as usize;
        let name = file.strip_prefix(dir.path()).unwrap().to_owned();
        // Every sort of file, from its first byte to its last; large ones in steps.
        for at in (0..len).step_by((len / 24).max(1)) {
            let bad = harmed(dir.path(), |d| flip(&d.join(&name), at, (at % 8) as u32));
            match read_all(small(bad.path())).await {
                Ok(after) => {
                    assert_same(&before, &after, &format!("{} byte {at}", name.display()));
                    harmless += 1;
                }
                Err(e) => {
                    let sorts = [Reason::DataCorrupt, Reason::ReadFailed, Reason::Closed];
                    assert!(sorts.contains(&e.reason()), "{} byte {at}: {e}", name.display());
                    said += 1;
                }
            }
            fs::remove_dir_all(bad.path().join("meta")).unwrap();
            if at % 5 == 0 {
                let after = read_all(small(bad.path())).await.unwrap();
                assert_same(&before, &after, &format!("{} byte {at}, rebuilt", name.display()));
                healed += 1;
            }
        }
    }
    assert!(said > 0 && healed > 10 && harmless > 0, "{said} said, {healed} healed, {harmless} harmless");
}

/// Without its journal, which is always empty, Fjall numbers what comes from the first number on, and older states lie over it.
#[tokio::test]
async fn a_metadata_store_that_lost_a_file_never_gives_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    closed_story(small(dir.path()), 9).await;
    // What is there, and what is there with one more before any of that is drained.
    let join = async |directory: &Path, name: &str, n: u64| {
        let store = Tranquil::open(small(directory))?;
        let before = snapshot(&*store).await?;
        Person::create(&*store, name, n << 32).await?;
        let with = snapshot(&*store).await?;
        store.checkpoint().await?;
        store.close().await.map(|()| (before, with))
    };
    for (n, name) in ["dave", "erin", "frank", "grace"].into_iter().enumerate() {
        join(dir.path(), name, n as u64 + 1).await.unwrap();
    }
    let all = read_all(small(dir.path())).await.unwrap();
    let mut healed = 0;
    for file in files(&dir.path().join("meta")) {
        let name = file.strip_prefix(dir.path()).unwrap();
        let bad = harmed(dir.path(), |d| fs::remove_file(d.join(name)).unwrap());
        match join(bad.path(), "heidi", 9).await {
            Ok((before, with)) => {
                assert_same(&all, &before, &format!("{} is missing", name.display()));
                let after = read_all(small(bad.path())).await.unwrap();
                assert_same(&with, &after, &format!("{} was missing", name.display()));
                healed += 1;
            }
            Err(e) => assert_eq!(e.reason(), Reason::DataCorrupt, "{}: {e}", name.display()),
        }
    }
    assert!(healed > 4, "{healed}");
}

/// Bytes of a log that is replayed: each flip is detected, or does no harm, and nothing is thrown away.
#[tokio::test]
async fn a_flipped_byte_in_the_log_is_detected_and_nothing_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 12).await;
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let log = with_ending(&dir.path().join("log"), "log").remove(0);
    let len = fs::metadata(&log).unwrap().len() as usize;
    let name = log.strip_prefix(dir.path()).unwrap().to_owned();
    for at in (0..len).step_by(97) {
        let bad = harmed(dir.path(), |d| flip(&d.join(&name), at, (at % 8) as u32));
        let damaged = fs::read(bad.path().join(&name)).unwrap();
        match read_all(roomy(bad.path())).await {
            Ok(after) => assert_same(&before, &after, &format!("byte {at} of {len}")),
            Err(e) => {
                assert!(matches!(e.reason(), Reason::DataCorrupt | Reason::WrongStore), "byte {at}: {e}");
                assert!(e.detail().contains("0000000001.log"), "byte {at}: the file is named: {e}");
                let kept = fs::read(bad.path().join(&name)).unwrap();
                assert_eq!(kept, damaged, "byte {at}: nothing is thrown away");
            }
        }
    }
}

/// With the metadata there, the log is only read for blocks: a damaged one is refused by itself, all others are served.
#[tokio::test]
async fn a_flipped_byte_of_a_block_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    let log = with_ending(&dir.path().join("log"), "log").remove(0);
    let len = fs::metadata(&log).unwrap().len() as usize;
    let name = log.strip_prefix(dir.path()).unwrap().to_owned();
    let mut said = 0;
    for at in (64..len).step_by(len / 60) {
        let bad = harmed(dir.path(), |d| flip(&d.join(&name), at, 2));
        match read_all(small(bad.path())).await {
            Ok(after) => assert_same(&before, &after, &format!("byte {at}")),
            Err(e) => {
                assert_eq!(e.reason(), Reason::DataCorrupt, "byte {at}: {e}");
                assert!(e.detail().contains("0000000001.log: offset"), "file and offset are named: {e}");
                said += 1;
            }
        }
    }
    assert!(said > 20, "most bytes of the log are blocks: {said}");
}

#[tokio::test]
async fn a_segment_that_is_lost_is_missed_and_the_newest_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 60).await;
    let segments = with_ending(&dir.path().join("events"), "segment");
    assert!(segments.len() > 3);
    let newest = segments.last().unwrap();
    for segment in &segments {
        let name = segment.strip_prefix(dir.path()).unwrap();
        let bad = harmed(dir.path(), |d| fs::remove_file(d.join(name)).unwrap());
        match read_all(small(bad.path())).await {
            Ok(after) if segment == newest => assert_same(&before, &after, "made again from the log"),
            Ok(_) => panic!("{} is not missed", name.display()),
            Err(refused) => {
                assert_eq!(refused.reason(), Reason::DataCorrupt, "{}: {refused}", name.display());
                assert_ne!(segment, newest, "{refused}");
            }
        }
        fs::copy(segment, bad.path().join(name)).unwrap();
        assert_same(&before, &read_all(small(bad.path())).await.unwrap(), &format!("{} is back", name.display()));
    }
}

/// Events are made again of a log that has all its files, or not at all: then the metadata stays, which is the witness.
#[tokio::test]
async fn the_newest_events_are_missed_if_the_log_has_lost_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 60).await;
    let log = with_ending(&dir.path().join("log"), "log").swap_remove(0);
    let segment = with_ending(&dir.path().join("events"), "segment").pop().unwrap();
    let lost = [&log, &segment].map(|path| path.strip_prefix(dir.path()).unwrap());
    let bad = harmed(dir.path(), |d| lost.iter().for_each(|name| fs::remove_file(d.join(name)).unwrap()));
    for _ in 0..2 {
        let refused = read_all(small(bad.path())).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::DataCorrupt, "{refused}");
        assert!(refused.detail().contains("ends at event") && refused.detail().contains(".log"), "{refused}");
    }
    fs::copy(&segment, bad.path().join(lost[1])).unwrap();
    fs::copy(&log, bad.path().join(lost[0])).unwrap();
    let store = Tranquil::open(small(bad.path())).unwrap();
    let counters = store.stats().await.unwrap().counters;
    assert!(counters.iter().any(|(name, n)| name == "rebuilt" && *n == 0), "{counters:?}");
    store.close().await.unwrap();
    assert_same(&before, &read_all(small(bad.path())).await.unwrap(), "both are back");
}

#[tokio::test]
async fn a_log_file_that_is_lost_is_missed_wherever_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    closed_story(small(dir.path()), 60).await;
    let changes = async |dir: &Path| {
        let store = Tranquil::open(small(dir))?;
        let problems = store.verify(VerifyLevel::Deep).await.unwrap().problems;
        let changes = store.changes(Pos(0), 1_000, usize::MAX).await;
        drop(store.close().await);
        changes.map(|changes| (changes, problems))
    };
    let (before, problems) = changes(dir.path()).await.unwrap();
    assert!(before.len() > 60 && problems.is_empty(), "{problems:?}");
    let logs = with_ending(&dir.path().join("log"), "log");
    assert!(logs.len() > 3);
    for log in logs {
        let name = log.strip_prefix(dir.path()).unwrap();
        let bad = harmed(dir.path(), |d| fs::remove_file(d.join(name)).unwrap());
        let Err(refused) = changes(bad.path()).await else { panic!("{}: nothing is missed", name.display()) };
        assert!(refused.detail().contains(".log"), "{}: {refused}", name.display());
        if let Ok(store) = Tranquil::open(small(bad.path())) {
            let problems = store.verify(VerifyLevel::Deep).await.unwrap().problems;
            assert!(problems[0].contains(&name.display().to_string()), "{}: {problems:?}", name.display());
            drop(store.close().await);
        }
        fs::copy(&log, bad.path().join(name)).unwrap();
        assert_eq!(changes(bad.path()).await.unwrap(), (before.clone(), Vec::new()), "{} is back", name.display());
    }
}

#[tokio::test]
async fn a_flipped_byte_in_a_segment_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    let segments = with_ending(&dir.path().join("events"), "segment");
    assert!(segments.len() > 2);
    let mut said = 0;
    for segment in [&segments[0], &segments[segments.len() - 1]] {
        let len = fs::metadata(segment).unwrap().len() as usize;
        let name = segment.strip_prefix(dir.path()).unwrap().to_owned();
        for at in (0..len).step_by(len / 40) {
            let bad = harmed(dir.path(), |d| flip(&d.join(&name), at, 5));
            match read_all(small(bad.path())).await {
                Ok(after) => assert_same(&before, &after, &format!("{} byte {at}", name.display())),
                Err(e) => {
                    assert!(matches!(e.reason(), Reason::DataCorrupt | Reason::WrongStore), "byte {at}: {e}");
                    assert!(e.detail().contains(".segment"), "the file is named: {e}");
                    said += 1;
                }
            }
        }
    }
    assert!(said > 40, "{said}");
}

#[tokio::test]
async fn a_kill_loses_nothing() {
    let (dead, before) = killed_story(roomy, 30).await;
    assert_same(&before, &read_all(roomy(dead.path())).await.unwrap(), "after a kill");
    assert_same(&before, &read_all(roomy(dead.path())).await.unwrap(), "after a kill and a clean open");
}

/// The last cycle, cut at every sector and between: it is there whole, or not at all and kept aside.
#[tokio::test]
async fn a_torn_tail_is_cut_and_kept_aside() {
    let live = tempfile::tempdir().unwrap();
    let store = Tranquil::open(roomy(live.path())).unwrap();
    write_story(&*store, 9).await;
    let (dead, name) = (tempfile::tempdir().unwrap(), "log/0000000001.log");
    copy(live.path(), dead.path());
    let before = snapshot(&*store).await.unwrap();
    let mut dave = crate::common::story::Person::create(&*store, "dave", 9_000_000).await.unwrap();
    let (acknowledged, bytes_before) = (fs::read(live.path().join(name)).unwrap(), used(&dead.path().join(name)));
    let with_dave = snapshot(&*store).await.unwrap();
    dave.post(&*store, "the torn one").await.unwrap();
    let whole = fs::read(live.path().join(name)).unwrap();
    let (from, to) = (used_bytes(&acknowledged), used_bytes(&whole));
    assert!(bytes_before < from && from + 300 < to);
    let (mut torn, mut same) = (0, 0);
    for cut in (from + 1..to).step_by(37) {
        // What was not written is zero: the file was preallocated.
        let tail: Vec<u8> = whole[..cut].iter().copied().chain(std::iter::repeat_n(0, whole.len() - cut)).collect();
        let dir = harmed(dead.path(), |d| fs::write(d.join(name), &tail).unwrap());
        // The events are those of the moment of the kill, too.
        let after = read_all(roomy(dir.path())).await.unwrap();
        assert_same(&with_dave, &after, &format!("cut at {cut}"));
        let aside = files(&dir.path().join("log")).iter().any(|p| p.to_string_lossy().contains("torn-"));
        if aside { torn += 1 } else { same += 1 }
    }
    assert!(torn > 5, "{torn} torn, {same} not");
    assert!(difference(&before, &with_dave).is_some());
}

fn used(path: &Path) -> usize {
    used_bytes(&fs::read(path).unwrap())
}

fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1)
}

/// Damage before a later whole cycle is no torn tail: the store does not open, and says where.
#[tokio::test]
async fn a_rotten_middle_is_reported_and_never_cut() {
    let (dead, _) = killed_story(roomy, 9).await;
    let log = dead.path().join("log/0000000001.log");
    let end = used(&log);
    for at in [100, end / 2, end * 3 / 4] {
        let bad = harmed(dead.path(), |d| flip(&d.join("log/0000000001.log"), at, 1));
        let damaged = fs::read(bad.path().join("log/0000000001.log")).unwrap();
        let error = read_all(roomy(bad.path())).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DataCorrupt, "byte {at}: {error}");
        assert!(error.detail().contains("0000000001.log: offset"), "{error}");
        assert_eq!(fs::read(bad.path().join("log/0000000001.log")).unwrap(), damaged, "nothing is thrown away");
    }
}

/// The last acknowledged cycle may look like a torn one. Its events tell that it was published.
#[tokio::test]
async fn a_rotten_last_cycle_is_told_by_its_events() {
    let (dead, _) = killed_story(roomy, 9).await;
    let end = used(&dead.path().join("log/0000000001.log"));
    let bad = harmed(dead.path(), |d| flip(&d.join("log/0000000001.log"), end - 400, 1));
    let error = read_all(roomy(bad.path())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DataCorrupt, "{error}");
    assert!(error.detail().contains("was published"), "{error}");
}

/// Nor is the end of a file that another one follows, also where the cycle had no events.
#[tokio::test]
async fn the_end_of_a_log_file_that_another_follows_is_no_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    // No copy of the metadata: all of the log is read again.
    let options = |d: &Path| Options { snapshot_log_bytes_min: 1 << 40, ..small(d) };
    let store = Tranquil::open(options(dir.path())).unwrap();
    let put = |n: u64| Row::new(RowKind::Session, n.to_be_bytes(), vec![7; 2_000]);
    let rows = (1..20).map(|n| Op::PutRow { row: put(n), expect: Expect::Absent });
    for (n, op) in (0..).zip([create_account("alice")].into_iter().chain(rows)) {
        let mutation = Mutation { did: did("alice"), key: key(n), ops: vec![op], blocks: Vec::new() };
        store.apply(mutation).await.unwrap();
    }
    store.close().await.unwrap();
    fs::remove_dir_all(dir.path().join("meta")).unwrap();
    with_ending(dir.path(), "hint").iter().for_each(|hint| fs::remove_file(hint).unwrap());
    let logs = with_ending(&dir.path().join("log"), "log");
    assert!(logs.len() > 2, "{logs:?}");
    let bad = harmed(dir.path(), |d| flip(&d.join("log/0000000001.log"), used(&logs[0]) - 200, 1));
    let damaged = fs::read(bad.path().join("log/0000000001.log")).unwrap();
    let error = read_all(options(bad.path())).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::DataCorrupt, "{error}");
    assert!(error.detail().contains("0000000001.log: offset") && error.detail().contains("follows"), "{error}");
    assert_eq!(fs::read(bad.path().join("log/0000000001.log")).unwrap(), damaged, "nothing is thrown away");
    assert_eq!(with_ending(&bad.path().join("log"), "log").len(), logs.len(), "nor any file");
}

#[tokio::test]
async fn a_missing_or_foreign_file_is_told() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    closed_story(small(dir.path()), 30).await;
    closed_story(small(other.path()), 30).await;
    let logs = |d: &Path| with_ending(&d.join("log"), "log");
    // Where one segment ends and the next begins is not the same in each store.
    let segment = |d: &Path| with_ending(&d.join("events"), "segment")[1].clone();
    let last = logs(dir.path()).len() - 1;
    let files = |d: &Path| [logs(d)[0].clone(), logs(d)[last].clone(), segment(d)];
    for (file, foreign) in files(dir.path()).iter().zip(files(other.path())) {
        let name = file.strip_prefix(dir.path()).unwrap();
        let missing = harmed(dir.path(), |d| fs::remove_file(d.join(name)).unwrap());
        let error = read_all(small(missing.path())).await.unwrap_err();
        assert!(error.detail().contains("log") || error.detail().contains("events"), "{}: {error}", name.display());
        let harmed = harmed(dir.path(), |d| {
            fs::copy(foreign, d.join(name)).unwrap();
        });
        let error = read_all(small(harmed.path())).await.unwrap_err();
        assert_eq!(error.reason(), Reason::WrongStore, "{}: {error}", name.display());
        assert!(error.detail().contains("belongs to store"), "{error}");
    }
}

#[tokio::test]
async fn files_whose_last_block_a_copy_filled_up_are_what_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 60).await;
    for ending in ["log", "segment", "snapshot"] {
        for path in with_ending(dir.path(), ending) {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len((len + 1).next_multiple_of(4 << 10)).unwrap();
        }
    }
    assert!(with_ending(&dir.path().join("events"), "segment").len() > 2, "sealed ones, and the newest");
    assert_same(&before, &read_all(small(dir.path())).await.unwrap(), "filled up");
}

#[tokio::test]
async fn what_a_killed_process_had_begun_aside_takes_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 9).await;
    let begun = ["log/0000000001.hint-tmp", "events/0000000000000001.index-tmp", "snapshots/0000000000000003.tmp"];
    let begun = begun.map(|name| dir.path().join(name));
    for path in &begun {
        fs::write(path, "begun").unwrap();
    }
    assert_same(&before, &read_all(small(dir.path())).await.unwrap(), "with files that were begun");
    for path in &begun {
        assert!(!path.exists(), "{}", path.display());
    }
}
