//! `verify --repair`: what is healed beside a store that is open, from what, and what is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::TestClock;
use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::{closed_story, copy, key, roomy, small, with_ending};
use backend_api::{Changes, Maintenance, Micros, Mutation, Pos, SnapshotItem, VerifyLevel, VerifyReport, Writes};
use backend_tranquil::io::Env;
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::scene::did;
use conformance::{ManualClock, create_account, snapshot};

fn change(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

async fn repair(store: &Tranquil) -> VerifyReport {
    store.verify(VerifyLevel::Repair).await.unwrap()
}

async fn story() -> (tempfile::TempDir, Vec<SnapshotItem>) {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(small(dir.path()), 30).await;
    (dir, before)
}

fn sealed(directory: &Path, room: &str, ending: &str) -> PathBuf {
    with_ending(&directory.join(room), ending).remove(0)
}

/// An open store, which has read nothing yet.
fn opened(directory: &Path) -> Arc<Tranquil> {
    Tranquil::open(Options { hot_bytes: 0, ..small(directory) }).unwrap()
}

#[tokio::test]
async fn sealed_files_are_healed_beside_an_open_store() {
    let (dir, before) = story().await;
    let store = opened(dir.path());
    // All files of the log are open when they are healed.
    let changes = store.changes(Pos(0), 10_000, usize::MAX).await.unwrap();
    for (room, ending) in [("log", "log"), ("events", "segment")] {
        let path = sealed(dir.path(), room, ending);
        let right = fs::read(&path).unwrap();
        for at in [right.len() / 2, 20, right.len() - 1] {
            change(&path, at);
            let report = repair(&store).await;
            assert_eq!(report.problems, Vec::<String>::new(), "{} byte {at}", path.display());
            assert_eq!(report.healed.len(), 1, "{} byte {at}: {:?}", path.display(), report.healed);
            assert!(report.healed[0].contains("4096 bytes") || at == right.len() - 1, "{:?}", report.healed);
            assert!(fs::read(&path).unwrap() == right, "{} byte {at}", path.display());
            assert_eq!(repair(&store).await.healed, Vec::<String>::new(), "and once only");
        }
        let kept = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        assert_eq!(kept.filter(|name| name.contains(".damaged-")).count(), 3, "each of them is kept");
    }
    assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
    assert!(store.changes(Pos(0), 10_000, usize::MAX).await.unwrap() == changes);
}

/// What is being written keeps its place: it is told, and healed when the store is closed.
#[tokio::test]
async fn the_newest_file_is_told_and_healed_closed() {
    let (dir, before) = story().await;
    let path = with_ending(&dir.path().join("log"), "log").pop().unwrap();
    let right = fs::read(&path).unwrap();
    let store = opened(dir.path());
    change(&path, 200);
    let damaged = fs::read(&path).unwrap();
    let report = repair(&store).await;
    assert!(report.problems[0].contains("it is damaged, and is being written"), "{:?}", report.problems);
    assert!(fs::read(&path).unwrap()[..right.len()] == damaged[..right.len()], "it is left alone");
    store.close().await.unwrap();
    let store = Tranquil::open(Options { repair: true, ..small(dir.path()) }).unwrap();
    let report = repair(&store).await;
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.healed.iter().any(|what| what.contains("healed from its sidecar")), "{:?}", report.healed);
    assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
    store.close().await.unwrap();
}

/// Without a sidecar: blocks from events and record rows, written again. A replay of the log does it once more.
#[tokio::test]
async fn blocks_are_written_again_from_other_copies() {
    let (dir, before) = story().await;
    let name = Path::new("log/0000000001.log");
    let right = fs::read(dir.path().join(name)).unwrap();
    let mut told = Vec::new();
    for at in (100..right.len()).step_by(right.len() / 12) {
        let bad = tempfile::tempdir().unwrap();
        copy(dir.path(), bad.path());
        fs::remove_file(bad.path().join("log/0000000001.parity")).unwrap();
        change(&bad.path().join(name), at);
        let store = opened(bad.path());
        let report = repair(&store).await;
        assert_eq!(report.problems, Vec::<String>::new(), "byte {at}");
        assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None, "byte {at}");
        store.close().await.unwrap();
        told.extend(report.healed);
        // From the first file on, with what it should have.
        fs::write(bad.path().join(name), &right).unwrap();
        fs::remove_dir_all(bad.path().join("meta")).unwrap();
        let store = opened(bad.path());
        assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None, "byte {at}, replayed");
        assert_eq!(store.verify(VerifyLevel::Deep).await.unwrap().problems, Vec::<String>::new(), "byte {at}");
        store.close().await.unwrap();
    }
    let again = told.iter().filter(|told| told.contains("was written again, from an event")).count();
    assert!(again > 4, "{told:?}");
}

/// What is repaired while the clock is ahead takes no time with it: the clock may be set right, and what is written then has
/// its time.
#[tokio::test]
async fn a_repair_keeps_no_time() {
    let (dir, _) = story().await;
    let name = sealed(dir.path(), "log", "log");
    fs::remove_file(name.with_extension("parity")).unwrap();
    let len = fs::metadata(&name).unwrap().len() as usize;
    (100..len).step_by(len / 12).for_each(|at| change(&name, at));
    let (year_us, now) = (365 * 86_400_000_000, Env::real().clock.now().0);
    let clock = Arc::new(ManualClock::new(Micros(now + 2 * year_us)));
    let env = Env { clock: Arc::new(TestClock(Arc::clone(&clock))), ..Env::real() };
    let store = Tranquil::open_in(env, Options { hot_bytes: 0, ..small(dir.path()) }).unwrap();
    let report = repair(&store).await;
    assert!(report.healed.iter().any(|what| what.contains("was written again, from an event")), "{report:?}");
    clock.set(Micros(now + year_us));
    let person = did("after");
    let ops = vec![create_account("after")];
    let receipt = store.apply(Mutation { did: person, key: key(9_000), ops, blocks: Vec::new() }).await.unwrap();
    assert_eq!(receipt.at, Micros(now + year_us));
}

/// The tree that is served follows from the rows of its records.
#[tokio::test]
async fn nodes_are_made_again_from_records() {
    let dir = tempfile::tempdir().unwrap();
    let before = closed_story(roomy(dir.path()), 30).await;
    let log = dir.path().join("log/0000000001.log");
    fs::remove_file(log.with_extension("parity")).unwrap();
    let len = fs::metadata(&log).unwrap().len() as usize;
    // All of the last commits, but for the end of the last cycle, which the open looks at.
    (len - 6_000..len - 200).step_by(60).for_each(|at| change(&log, at));
    let store = Tranquil::open(Options { hot_bytes: 0, ..roomy(dir.path()) }).unwrap();
    let report = repair(&store).await;
    let nodes = report.healed.iter().filter(|what| what.contains("from the rows of its records")).count();
    assert!(nodes >= 3, "{:?}", report.healed);
    // The rest was in events.
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
}

/// What nothing tells any more is named, and nothing is thrown away.
#[tokio::test]
async fn what_is_lost_is_named() {
    let (dir, _) = story().await;
    let log = sealed(dir.path(), "log", "log");
    fs::remove_file(log.with_extension("parity")).unwrap();
    let mut segments = with_ending(&dir.path().join("events"), "segment");
    // The newest is read by the open.
    segments.pop();
    for segment in segments {
        // Events tell nothing, either: their frames are damaged, and so are their sidecars.
        let len = fs::metadata(&segment).unwrap().len() as usize;
        (100..len).step_by(50).for_each(|at| change(&segment, at));
        fs::remove_file(segment.with_extension("parity")).unwrap();
    }
    let len = fs::metadata(&log).unwrap().len() as usize;
    (100..len).step_by(20).for_each(|at| change(&log, at));
    let damaged = fs::read(&log).unwrap();
    let Ok(store) = Tranquil::open(small(dir.path())) else { panic!("the end of the log is sound") };
    let report = repair(&store).await;
    let lost = report.problems.iter().filter(|p| p.contains("0000000001.log: offset")).count();
    assert!(lost > 10, "{:?}", report.problems);
    assert_eq!(fs::read(&log).unwrap(), damaged);
}

/// A metadata store that was found damaged is made again by the next open.
#[tokio::test]
async fn a_marked_metadata_store_is_made_again() {
    let (dir, before) = story().await;
    let marker = dir.path().join("meta.rebuild");
    fs::write(&marker, []).unwrap();
    for rebuilt in [1, 0] {
        let store = opened(dir.path());
        let counters = store.stats().await.unwrap().counters;
        assert_eq!(counters.iter().find(|(name, _)| name == "rebuilt").unwrap().1, rebuilt);
        assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
        assert!(!marker.exists());
        store.close().await.unwrap();
    }
}

/// A newer copy of the metadata takes the place of an older one whenever it is due, also while files are looked at. A log file
/// goes at no time.
#[tokio::test]
async fn a_copy_that_goes_meanwhile_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { snapshot_log_bytes_min: 1, memtable_bytes_max: 16 << 10, ..small(dir.path()) };
    let before = closed_story(options(), 60).await;
    let copies = || with_ending(&dir.path().join("snapshots"), "snapshot").len();
    assert!(copies() > 0);
    let faults = Arc::<Faults>::default();
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let store = Tranquil::open_in(env, options()).unwrap();
    faults.set(Some(Fault::Gone(".snapshot")));
    assert_eq!(repair(&store).await.problems, Vec::<String>::new());
    assert_eq!(copies(), 0, "they went");
    assert_eq!(difference(&before, &snapshot(&*store).await.unwrap()), None);
    faults.set(Some(Fault::Gone("0000000001.log")));
    let error = store.verify(VerifyLevel::Repair).await.unwrap_err();
    assert!(error.detail().contains("0000000001.log"), "{error}");
}
