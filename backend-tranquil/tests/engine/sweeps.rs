//! Sweeps: work in proportion to what is swept, and damage in one place does not hold up the rest (promise M1).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::{Person, key, small, with_ending, write_story};
use crate::stepped_store::Stepped;
use backend_api::{
    AccountName, Accounts, Did, Firehose, Maintenance, Micros, Mutation, Op, Row, RowKey, RowKind, Rows, Seq,
    SnapshotItem, SweepReport, Writes,
};
use backend_tranquil::io::Env;
use backend_tranquil::{Options, Tranquil};
use conformance::scene::{blob_cid, did};
use conformance::{create_account, snapshot};

/// Everything is due at once.
fn forgetful(directory: &std::path::Path) -> Options {
    Options { history_window_us: 0, event_retention_us: 0, memtable_bytes_max: 64 << 20, ..small(directory) }
}

fn apply(db: &Stepped, who: &Did, n: u64, ops: Vec<Op>) {
    let mutation = Mutation { did: who.clone(), key: key(n), ops, blocks: Vec::new() };
    db.run(db.store.apply(mutation)).unwrap();
}

/// What it takes to sweep an account with so many blobs: entries that the store went over, and drains.
fn sweep_of_blobs(blobs: u64) -> (SweepReport, u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let db = Stepped::open(forgetful(dir.path()));
    let alice = did("alice");
    apply(&db, &alice, 0, vec![create_account("alice")]);
    for n in 0..blobs / 100 {
        let put = |i| Op::PutBlob { cid: blob_cid(&format!("{n} {i}")), mime: "image/png".into(), bytes: 1 };
        apply(&db, &alice, 1 + n, (0..100).map(put).collect());
    }
    apply(&db, &alice, 1 + blobs, vec![Op::DeleteAccount]);
    db.run(db.store.sweep(0)).unwrap();
    db.run(db.store.checkpoint()).unwrap();
    let (visited, runs) = (db.kv.asked.visited(), db.kv.asked.runs.load(Ordering::SeqCst));
    let mut total = SweepReport::default();
    while !total.done {
        let report = db.run(db.store.sweep(1_000)).unwrap();
        (total.done, total.entries) = (report.done, total.entries + report.entries);
    }
    let asked = (db.kv.asked.visited() - visited, db.kv.asked.runs.load(Ordering::SeqCst) - runs);
    let left = db.run(snapshot(&*db.store)).unwrap();
    assert!(!left.iter().any(|item| matches!(item, SnapshotItem::Blob(..) | SnapshotItem::Sweep(..))));
    (total, asked.0, asked.1)
}

#[test]
fn a_sweep_goes_over_each_key_once_and_needs_no_drain_between() {
    let (few, _, drains_of_few) = sweep_of_blobs(500);
    let (many, visited, drains) = sweep_of_blobs(8_000);
    assert!(few.entries > 500 && many.entries > 8_000);
    assert!(visited < 8_000 * 5 / 4, "{visited} entries were gone over for 8,000 keys");
    assert_eq!(drains, drains_of_few);
}

/// A purge looks at each block of the repo once, also at those that stay.
#[test]
fn a_purge_looks_at_each_key_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Stepped::open(Options { history_window_us: u64::MAX / 2, ..forgetful(dir.path()) });
    let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
    for i in 0..1_200 {
        db.run(alice.post(&*db.store, &format!("note {i}"))).unwrap();
    }
    apply(&db, &alice.repo.did, 1 << 40, vec![Op::Purge]);
    db.run(db.store.checkpoint()).unwrap();
    let keys = |items: &[SnapshotItem]| {
        items.iter().filter(|i| matches!(i, SnapshotItem::Block { .. } | SnapshotItem::Commit(..))).count() as u64
    };
    let before = keys(&db.run(snapshot(&*db.store)).unwrap());
    let (visited, runs) = (db.kv.asked.visited(), db.kv.asked.runs.load(Ordering::SeqCst));
    while !db.run(db.store.sweep(300)).unwrap().done {}
    let (visited, runs) = (db.kv.asked.visited() - visited, db.kv.asked.runs.load(Ordering::SeqCst) - runs);
    assert!(visited < before * 5 / 4, "{visited} entries were gone over for {before} keys");
    assert_eq!(runs, 0, "all of it was drained before");
    let left = keys(&db.run(snapshot(&*db.store)).unwrap());
    assert_eq!(left, 1 + alice.repo.recount().len() as u64, "the head, and what it reaches");
}

/// A damaged file of the log keeps back the release of what must be read from it. Rows, events and dead generations go.
#[test]
fn a_rotten_log_file_holds_up_the_release_of_history_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let db = Stepped::open(forgetful(dir.path()));
    for word in ["alice", "bob"] {
        let mut person = db.run(Person::create(&*db.store, word, if word == "bob" { 1 << 40 } else { 0 })).unwrap();
        for i in 0..40 {
            db.run(person.post(&*db.store, &format!("note {i}"))).unwrap();
        }
    }
    let mut row = Row::new(RowKind::Session, b"short", b"a session".to_vec());
    row.expires_at = Some(Micros(1));
    let name = RowKey { kind: RowKind::Session, key: b"short".to_vec() };
    apply(&db, &did("alice"), 2 << 40, vec![Op::PutRow { row, expect: backend_api::Expect::Absent }]);
    apply(&db, &did("bob"), 3 << 40, vec![Op::DeleteAccount]);
    db.run(db.store.checkpoint()).unwrap();
    let log = with_ending(&dir.path().join("log"), "log").remove(0);
    let mut bytes = fs::read(&log).unwrap();
    bytes[100] ^= 1;
    fs::write(&log, &bytes).unwrap();
    for hint in with_ending(&dir.path().join("log"), "hint") {
        fs::remove_file(hint).unwrap();
    }
    let report = db.run(db.store.sweep(100_000)).unwrap();
    assert!(report.done, "nothing is left that can be done");
    assert_eq!(report.held.len(), 1, "{:?}", report.held);
    assert!(
        report.held[0].contains("the release of history stands still") && report.held[0].contains("0000000001.log")
    );
    assert!(report.rows == 1 && report.events > 50 && report.blocks > 40, "{report:?}");
    assert_eq!(db.run(db.store.row(&name)).unwrap(), None);
    assert_eq!(db.run(db.store.account(&AccountName::Did(did("bob")))).unwrap(), None);
    let left = db.run(db.store.sweep(100_000)).unwrap();
    assert_eq!((left.rows, left.events, left.blocks, left.held), (0, 0, 0, report.held));
}

/// A segment that could not be removed is removed the next time, before any that is newer: between two that are left none
/// is missing.
#[tokio::test]
async fn a_removal_of_events_that_failed_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::<Faults>::default();
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let options = || Options { event_retention_us: 0, ..small(dir.path()) };
    let store = Tranquil::open_in(env, options()).unwrap();
    write_story(&*store, 120).await;
    store.checkpoint().await.unwrap();
    let segments = || with_ending(&dir.path().join("events"), "segment");
    let (before, first) = (segments(), fs::read(&segments()[0]).unwrap());
    faults.set(Some(Fault::Directory("events")));
    let report = store.sweep(40).await.unwrap();
    assert_eq!(report.held.len(), 1, "{report:?}");
    assert!(report.held[0].contains("the retention of events stands still"), "{report:?}");
    assert_eq!(segments().len(), before.len() - 1, "and only the oldest was tried");
    let report = store.sweep(40).await.unwrap();
    assert_eq!(report.held, Vec::<String>::new());
    assert!(segments().len() < before.len() - 2);
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    // One that came back with the power: what the store forgot before it was closed stays forgotten.
    fs::write(&before[0], first).unwrap();
    let store = Tranquil::open(Options { event_retention_us: 1 << 50, ..options() }).unwrap();
    let window = store.event_window().await.unwrap();
    let events = store.events(Seq::new(window.oldest.get() - 1).unwrap(), 1_000, 1 << 20).await.unwrap();
    assert_eq!(events.len() as u64, window.head.get() - window.oldest.get() + 1);
    assert!(!before[0].exists());
    store.close().await.unwrap();
}
