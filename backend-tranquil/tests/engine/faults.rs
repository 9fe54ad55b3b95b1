//! A disk that fails: no failed write turns into a later success, and a full disk blocks no reads (promises P1, P5, P6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::{Person, key, roomy, with_ending};
use crate::common::town::{Town, options};
use backend_api::{Backend, Committed, Firehose, Kind, Maintenance, Reason, Records, Seq, Writes};
use backend_tranquil::io::Env;
use backend_tranquil::{Options, Tranquil};
use conformance::scene::path;
use conformance::snapshot;

fn open(dir: &tempfile::TempDir, faults: &Arc<Faults>) -> Arc<Tranquil> {
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(faults))), ..Env::real() };
    Tranquil::open_in(env, roomy(dir.path())).unwrap()
}

/// One sync per cycle, whatever the number of writers; with many of them far fewer cycles than commits (promise of
/// section 4: counted).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sync_per_cycle_whatever_the_number_of_writers() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let mut people = Vec::new();
    for i in 0..64 {
        people.push(Person::create(&*store, &format!("p{i}"), 1_000_000 * i).await.unwrap());
    }
    let counters = || async {
        let counters = store.stats().await.unwrap().counters;
        let counter = |name: &str| counters.iter().find(|(n, _)| n == name).unwrap().1;
        (counter("cycles"), counter("syncs"), counter("mutations"))
    };
    let (syncs, writes, before) =
        (faults.log_syncs.load(Ordering::SeqCst), faults.log_writes.load(Ordering::SeqCst), counters().await);
    let mut tasks = Vec::new();
    for mut person in people {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            for i in 0..20 {
                person.post(&*store, &format!("note {i}")).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let after = counters().await;
    let (cycles, mutations) = (after.0 - before.0, after.2 - before.2);
    assert_eq!(mutations, 64 * 20);
    assert_eq!(after.1 - before.1, cycles, "the engine counts one sync per cycle");
    // The file may have been sealed and begun meanwhile: those syncs are not on the way to an acknowledgement.
    let rotations = store.stats().await.unwrap().counters.iter().find(|(n, _)| n == "rotations").unwrap().1;
    assert_eq!(faults.log_syncs.load(Ordering::SeqCst) - syncs, cycles + 2 * rotations, "and the disk sees no more");
    assert_eq!(faults.log_writes.load(Ordering::SeqCst) - writes, cycles + rotations, "one write per cycle");
    // The quicker the disk, the fewer come while it is busy.
    assert!(cycles * 2 < mutations, "{cycles} cycles for {mutations} commits of 64 writers");
}

/// What overwrites needs no journal of the file system: a small cycle finds room that one before it has written. A large one
/// writes itself and nothing else.
#[tokio::test]
async fn small_cycles_overwrite_and_large_ones_write_nothing_more() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    // One file, for each begins with a write of its own.
    let store = Tranquil::open_in(env, Options { log_file_bytes: 64 << 20, ..roomy(dir.path()) }).unwrap();
    let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
    let written = async || {
        let counters = store.stats().await.unwrap().counters;
        let log_bytes = counters.iter().find(|(name, _)| name == "log_bytes").unwrap().1;
        let counter = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        (counter(&faults.log_written_bytes), counter(&faults.log_extensions), log_bytes)
    };
    let before = written().await;
    for i in 0..300 {
        alice.post(&*store, &format!("note {i}: {}", "a".repeat(2_000))).await.unwrap();
    }
    let after = written().await;
    let (bytes, extensions, log_bytes) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
    assert!(log_bytes > 600_000, "{log_bytes}");
    assert!((2..=log_bytes / (256 << 10) + 1).contains(&extensions), "{extensions} of 300, {log_bytes} bytes");
    assert_eq!(bytes, log_bytes + extensions * (256 << 10), "each brought a quarter of a megabyte");
    let before = after;
    for _ in 0..20 {
        alice.post(&*store, &"b".repeat(100_000)).await.unwrap();
    }
    let after = written().await;
    assert!(after.1 - before.1 >= 17, "what was brought holds two of them");
    assert_eq!(after.0 - before.0, after.2 - before.2);
    // Turn about, as where a cycle takes most callers and the next one who came late.
    let before = after;
    for _ in 0..20 {
        alice.post(&*store, "a late one").await.unwrap();
        alice.post(&*store, &"b".repeat(100_000)).await.unwrap();
    }
    let after = written().await;
    assert_eq!(after.0 - before.0, after.2 - before.2, "a large one would overwrite it all at once");
}

#[tokio::test]
async fn a_failed_sync_stops_writing_and_never_becomes_a_success() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
    alice.post(&*store, "before").await.unwrap();
    let head = store.event_window().await.unwrap().head;
    faults.set(Some(Fault::Sync(".log")));
    let error = alice.post(&*store, "unknown").await.unwrap_err();
    assert_eq!((error.reason(), error.committed()), (Reason::SyncFailed, Committed::Unknown), "{error}");
    faults.set(None);
    let error = alice.post(&*store, "after").await.unwrap_err();
    assert_eq!((error.kind(), error.committed()), (Kind::Stopped, Committed::No), "the disk is well, the store is not");
    assert!(error.detail().contains("sync"), "the first cause is told: {error}");
    // Reads go on, and show nothing of what failed.
    assert_eq!(store.event_window().await.unwrap().head, head);
    let record = store.record(&alice.repo.did, &path("com.example.note/2")).await.unwrap();
    assert!(record.is_some(), "what was acknowledged is served");
    assert!(store.stats().await.unwrap().stopped.is_some());
    drop(store.close().await);
    // After a reopen the same key tells what became of it, and writing goes on.
    let store = open(&dir, &faults);
    let mutation_key = key(alice.next - 2);
    let draft = alice
        .repo
        .draft(&[conformance::scene::Write::Put(path("com.example.note/3"), conformance::scene::content("unknown"))]);
    let receipt = store.apply(draft.mutation(mutation_key)).await.unwrap();
    assert_eq!(receipt.first_seq, head.plus(1).unwrap(), "its number is the next one, once");
    assert_eq!(store.event_window().await.unwrap().head, head.plus(1).unwrap());
    assert!(store.verify(backend_api::VerifyLevel::Deep).await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_whole_and_writing_goes_on_when_there_is_space() {
    for bytes in [0, 1, 100, 700, 100_000] {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let store = open(&dir, &faults);
        let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
        alice.post(&*store, "before").await.unwrap();
        let before = snapshot(&*store).await.unwrap();
        faults.set(Some(Fault::Full(".log", bytes)));
        let error = alice.post(&*store, "full").await.unwrap_err();
        assert_eq!((error.reason(), error.committed()), (Reason::StorageFull, Committed::No), "{error}");
        assert!(store.record(&alice.repo.did, &path("com.example.note/2")).await.unwrap().is_some(), "reads go on");
        assert_eq!(store.events(Seq::ZERO, 100, 1 << 20).await.unwrap().len(), 1);
        faults.set(None);
        store.checkpoint().await.unwrap();
        let same = snapshot(&*store).await.unwrap();
        assert_eq!(conformance::digest::difference(&before, &same), None, "it left no trace");
        alice.next -= 1;
        alice.post(&*store, "full").await.unwrap();
        let after = snapshot(&*store).await.unwrap();
        drop(store.close().await);
        let store = open(&dir, &faults);
        let reopened = snapshot(&*store).await.unwrap();
        assert_eq!(conformance::digest::difference(&after, &reopened), None, "nor after a reopen");
    }
}

/// An event log that takes no writes loses nothing: the commit log has the events, and memory serves them.
#[tokio::test]
async fn events_that_could_not_be_appended_come_again() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
    alice.post(&*store, "one").await.unwrap();
    // Its event is written after the answer; from here on it is there.
    store.checkpoint().await.unwrap();
    faults.set(Some(Fault::Full(".segment", 10)));
    let mut last = alice.post(&*store, "two").await.unwrap().first_seq;
    // They wait in memory until somebody has time for them.
    let refused = loop {
        match alice.post(&*store, "more").await {
            Ok(receipt) => last = receipt.first_seq,
            Err(e) => break e,
        }
        assert!(last.get() < 1_000, "nobody is told");
    };
    assert_eq!(refused.reason(), Reason::StorageFull);
    let seen = store.events(Seq::ZERO, 1_000, 1 << 20).await.unwrap();
    assert_eq!(seen.last().unwrap().seq, last, "acknowledged is visible");
    store.close().await.unwrap();
    faults.set(None);
    let store = open(&dir, &faults);
    assert_eq!(store.events(Seq::ZERO, 1_000, 1 << 20).await.unwrap(), seen, "the same frames again");
}

/// A read that fails while the log is scanned is not the end of the log.
#[tokio::test]
async fn a_read_error_at_open_is_not_taken_for_the_end() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    crate::common::story::write_story(&*store as &dyn Backend, 9).await;
    let before = snapshot(&*store).await.unwrap();
    drop(store.close().await);
    std::fs::remove_dir_all(dir.path().join("meta")).unwrap();
    faults.set(Some(Fault::Read(".log")));
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let Err(error) = Tranquil::open_in(env, roomy(dir.path())) else { panic!("it cannot be read") };
    assert_eq!((error.reason(), error.kind()), (Reason::ReadFailed, Kind::Busy), "{error}");
    faults.set(None);
    let store = open(&dir, &faults);
    let after = snapshot(&*store).await.unwrap();
    assert_eq!(conformance::digest::difference(&before, &after), None);
}

/// What the log cannot hold in one frame is refused, not acknowledged and lost.
#[tokio::test]
async fn a_mutation_of_many_megabytes_of_rows_is_refused() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let row = |i: u32| backend_api::Row::new(backend_api::RowKind::Custom, i.to_be_bytes(), vec![7; 1 << 20]);
    let puts = |n| (0..n).map(|i| backend_api::Op::PutRow { row: row(i), expect: backend_api::Expect::Any }).collect();
    let did = conformance::scene::did("alice");
    let mutation = |n, k| backend_api::Mutation { did: did.clone(), key: key(k), ops: puts(n), blocks: Vec::new() };
    assert_eq!(store.apply(mutation(66, 1)).await.unwrap_err().reason(), Reason::TooLarge);
    store.apply(mutation(3, 2)).await.unwrap();
    // Taken together they would make a receipt of the same size.
    store.apply(mutation(3, 3)).await.unwrap();
    for k in 4..7 {
        let row = backend_api::Row::new(backend_api::RowKind::Custom, [k as u8; 3], vec![7; 1 << 20]);
        let ops = vec![backend_api::Op::PutRow { row, expect: backend_api::Expect::Any }];
        store.apply(backend_api::Mutation { did: did.clone(), key: key(k), ops, blocks: Vec::new() }).await.unwrap();
    }
    let mut ops: Vec<_> = (0..3).map(|i| backend_api::Op::TakeRow(row(i).key)).collect();
    ops.extend((4..7_u8).map(|k| {
        backend_api::Op::TakeRow(backend_api::RowKey { kind: backend_api::RowKind::Custom, key: vec![k; 3] })
    }));
    let take = backend_api::Mutation { did: did.clone(), key: key(9), ops, blocks: Vec::new() };
    assert_eq!(store.apply(take).await.unwrap_err().reason(), Reason::TooLarge);
}

/// The numbers of an event that was acknowledged and not written must not be covered by a checkpoint.
#[tokio::test]
async fn a_checkpoint_never_passes_events_that_wait_for_space() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
    alice.post(&*store, "one").await.unwrap();
    // Its event is written after the answer; from here on it is there.
    store.checkpoint().await.unwrap();
    faults.set(Some(Fault::Full(".segment", 10)));
    let (posted, checkpoint) = tokio::join!(alice.post(&*store, "two"), store.checkpoint());
    let receipt = posted.unwrap();
    drop(checkpoint);
    assert_eq!(store.checkpoint().await.unwrap_err().reason(), Reason::StorageFull, "it is answered, too");
    // Killed there: what the next open finds has not gone beyond the events.
    let killed = tempfile::tempdir().unwrap();
    crate::common::story::copy(dir.path(), killed.path());
    faults.set(None);
    let again = open(&killed, &Arc::default());
    assert_eq!(again.event_window().await.unwrap().head, receipt.first_seq);
    assert_eq!(again.events(Seq::ZERO, 10, 1 << 20).await.unwrap().len(), 2);
    store.checkpoint().await.unwrap();
    alice.post(&*store, "three").await.unwrap();
    store.close().await.unwrap();
    let store = open(&dir, &faults);
    assert_eq!(store.events(Seq::ZERO, 10, 1 << 20).await.unwrap().len(), 3);
}

/// Whoever waits for a checkpoint is answered, however much is written meanwhile, and after a drain that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_answered_under_load() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    let mut writers = Vec::new();
    for i in 0..8 {
        let mut person = Person::create(&*store, &format!("p{i}"), 1_000_000 * i).await.unwrap();
        let store = Arc::clone(&store);
        writers.push(tokio::spawn(async move {
            for i in 0..60 {
                person.post(&*store, &format!("note {i}")).await.unwrap();
            }
        }));
    }
    while writers.iter().any(|w| !w.is_finished()) {
        store.checkpoint().await.unwrap();
    }
    faults.set(Some(Fault::Sync(".segment")));
    // A drain that is still under way may meet it first.
    if let Ok(mut last) = Person::create(&*store, "last", 99_000_000).await {
        drop(last.post(&*store, "one").await);
    }
    assert_eq!(store.checkpoint().await.unwrap_err().kind(), Kind::Stopped);
}

/// A second closer comes back when the first has ended, not before: the directory is free then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_twice_at_once_loses_nothing() {
    for _ in 0..5 {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let store = open(&dir, &faults);
        crate::common::story::write_story(&*store as &dyn Backend, 30).await;
        let before = snapshot(&*store).await.unwrap();
        let (first, second) = tokio::join!(store.close(), store.close());
        first.unwrap();
        second.unwrap();
        let again = open(&dir, &faults);
        let after = snapshot(&*again).await.unwrap();
        assert_eq!(conformance::digest::difference(&before, &after), None);
    }
}

/// A cursor outside what is listed is an empty page, and no reader thread dies of it.
#[tokio::test]
async fn a_cursor_outside_the_listing_is_an_empty_page() {
    use backend_api::{RowKey, RowKind, RowScope, Rows};
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir, &faults);
    Person::create(&*store, "alice", 1).await.unwrap();
    for _ in 0..3 {
        let scope = RowScope::Prefix(RowKind::Custom, vec![1]);
        for key in [vec![9], vec![0]] {
            let after = RowKey { kind: RowKind::Custom, key };
            assert!(store.rows(&scope, Some(&after), 10).await.unwrap().items.is_empty());
        }
        let after = RowKey { kind: RowKind::Moderation, key: vec![9] };
        assert!(store.rows(&RowScope::Kind(RowKind::Session), Some(&after), 10).await.unwrap().items.is_empty());
    }
}

/// It would be a later file, and what the one before it takes on would be behind its end.
#[tokio::test]
async fn a_log_file_whose_name_is_not_durable_is_taken_back() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let mut town = Town::new(Arc::new(FaultDisk(Arc::clone(&faults))), options(dir.path())).await;
    let files = || with_ending(&dir.path().join("log"), "log").len();
    let before = files();
    faults.set(Some(Fault::Renamed(".log")));
    while faults.fault.lock().unwrap().is_some() {
        assert_eq!(files(), before, "no other file was begun");
        town.post().await.unwrap();
    }
    assert_eq!(files(), before, "it is not there any more");
    town.goes_on().await;
    assert!(files() > before, "it was tried again");
}
