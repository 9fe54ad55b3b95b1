//! Cycles that are planned on top of each other, and drains that end otherwise than they say.

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::common::TestClock;
use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::{Person, copy, key, small};
use crate::stepped_store::{CountingKv, Stepped};
use backend_api::mutation::Announce;
use backend_api::{
    AccountName, Accounts, Error, Expect, Firehose, Maintenance, Micros, Mutation, Op, Reason, Receipt, Result, Row,
    RowKind, VerifyLevel, Writes,
};
use backend_tranquil::io::Env;
use backend_tranquil::stepped::{MetaKv, MetaSnapshot, Part, Steps};
use backend_tranquil::{Options, Tranquil};
use conformance::scene::did;
use conformance::{ManualClock, create_account};

type Run = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn alice(op: Op, n: u64) -> Mutation {
    Mutation { did: did("alice"), key: key(n), ops: vec![op], blocks: Vec::new() }
}

fn put(n: u64, bytes: usize) -> Mutation {
    let mut row = Row::new(RowKind::Session, format!("row {n}").as_bytes(), vec![7; bytes]);
    row.owner = Some(did("alice"));
    alice(Op::PutRow { row, expect: Expect::Any }, n)
}

/// Takes steps until a call is answered.
fn run<T>(steps: &Steps, call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
        let moved = Part::ALL.into_iter().filter(|part| steps.step(*part)).count();
        assert!(moved > 0, "a call waits and there is nothing to do");
    }
}

/// What is appended to the event log is brought to the disk as the log grows: a drain that had to do it all at once would hold
/// up cycles. If that fails, no later sync is believed.
#[test]
fn events_are_synced_between_drains() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let large = 64 << 20;
    let s = Stepped::open_in(env, Options { log_file_bytes: large, segment_bytes: large, ..small(dir.path()) });
    let mut alice = s.run(Person::create(&*s.store, "alice", 1)).unwrap();
    let text = "a".repeat(100_000);
    let mut posts = |n: usize| (0..n).try_for_each(|_| s.run(alice.post(&*s.store, &text)).map(drop));
    let syncs = || faults.segment_syncs.load(Ordering::SeqCst);
    let before = syncs();
    posts(200).unwrap();
    assert!((4..=6).contains(&(syncs() - before)), "{} for 20 MB", syncs() - before);
    faults.set(Some(Fault::Sync(".segment")));
    let mut failed = None;
    let acknowledged = (0..100).take_while(|_| posts(1).inspect_err(|e| failed = Some(e.clone())).is_ok()).count();
    assert_eq!(failed.map(|e| e.reason()), Some(Reason::Closed), "after {acknowledged} more");
    faults.set(None);
    let stats = s.run(s.store.stats()).unwrap();
    assert!(stats.stopped.as_deref().is_some_and(|why| why.contains(".segment")), "{:?}", stats.stopped);
    assert_eq!(stats.counters.iter().find(|(name, _)| name == "drains").unwrap().1, 0);
    assert_eq!(s.kv.asked.runs.load(Ordering::SeqCst), 0, "no drain vouches for events that were not synced");
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    let store = Tranquil::open(small(killed.path())).unwrap();
    assert_eq!(s.at_once(store.event_window()).unwrap().unwrap().head.get(), stats.head.get(), "each is there again");
}

/// While others wait for the log, the events of what is answered wait for their segment: one call writes those of many cycles.
/// They go there as soon as nobody waits.
#[test]
fn events_of_many_cycles_go_to_their_segment_at_once() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let options = Options { segment_bytes: 64 << 10, cycle_mutations_max: 1, ..small(dir.path()) };
    let s = Stepped::open_in(env, options);
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    // The segment is begun.
    s.run(s.store.apply(alice(Op::Emit(Announce::Account), 100))).unwrap();
    while s.steps.step(Part::Commit) {}
    let writes = || faults.segment_writes.load(Ordering::SeqCst);
    let (writes_before, syncs_before) = (writes(), faults.log_syncs.load(Ordering::SeqCst));
    let mut calls: Vec<_> = (2..10).map(|n| Box::pin(s.store.apply(alice(Op::Emit(Announce::Account), n)))).collect();
    assert!(calls.iter_mut().all(|call| s.at_once(call.as_mut()).is_none()));
    let mut answered = 0;
    while answered < calls.len() {
        assert!(s.steps.step(Part::Commit), "{answered} are answered");
        answered += calls[answered..].iter_mut().map_while(|call| s.at_once(call.as_mut())).map(Result::unwrap).count();
    }
    assert_eq!(faults.log_syncs.load(Ordering::SeqCst) - syncs_before, 8, "a cycle each");
    assert_eq!(writes(), writes_before, "nobody waited for a segment");
    while s.steps.step(Part::Commit) {}
    assert_eq!(writes(), writes_before + 1);
}

/// Old events go also when none of them is in a segment yet.
#[test]
fn events_that_wait_for_their_segment_grow_old_too() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::<ManualClock>::default());
    clock.set(Micros(1));
    let env = Env { clock: Arc::new(TestClock(Arc::clone(&clock))), ..Env::real() };
    let options = Options { segment_bytes: 64 << 10, event_retention_us: 1_000, ..small(dir.path()) };
    let s = Stepped::open_in(env, options);
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    let announce = Mutation { ops: vec![Op::Emit(Announce::Account); 3], ..alice(Op::Emit(Announce::Account), 2) };
    let mut emit = std::pin::pin!(s.store.apply(announce));
    while s.at_once(emit.as_mut()).is_none() {
        assert!(s.steps.step(Part::Commit));
    }
    clock.set(Micros(10_000));
    let mut sweep = std::pin::pin!(s.store.sweep(100));
    let report = loop {
        match s.at_once(sweep.as_mut()) {
            Some(report) => break report.unwrap(),
            // Only what is asked for: nobody has time for what is left for later.
            None => assert!(s.steps.step(Part::Read) || s.steps.step(Part::Commit)),
        }
    };
    assert_eq!(report.events, 2, "the newest one stays");
}

/// What is not drained is in memory, and memory is bounded: with two full tables no further cycle begins.
#[test]
fn writers_wait_for_a_drain_when_memory_is_used_up() {
    let dir = tempfile::tempdir().unwrap();
    let max = 256 << 10;
    let options = Options { memtable_bytes_max: max, log_file_bytes: 64 << 20, ..small(dir.path()) };
    let s = Stepped::open_in(Env::real(), options);
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    let bytes = 10_000;
    let mut taken = 0;
    let mut waits = loop {
        let mut call = Box::pin(s.store.apply(put(2 + taken, bytes)));
        let mut answer = s.at_once(call.as_mut());
        while answer.is_none() && s.steps.step(Part::Commit) {
            answer = s.at_once(call.as_mut());
        }
        match answer {
            Some(answer) => answer.map(drop).unwrap(),
            None => break call,
        }
        taken += 1;
        assert!(taken * (bytes as u64) < 3 * max as u64, "nobody waits");
    };
    assert!(taken * (bytes as u64) > max as u64, "{taken} taken: one table is being drained, and one is filled");
    s.run(waits.as_mut()).unwrap();
}

/// A full store stops when a checkpoint has frozen and nothing of it is drained yet: nobody looks for space for it any more,
/// and whoever waits for it is told.
#[test]
fn a_checkpoint_of_a_full_store_that_stops_before_the_drain_is_answered() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let s = Stepped::open_in(env, Options { log_file_bytes: 64 << 10, ..small(dir.path()) });
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    s.run(s.store.apply(put(2, 40_000))).unwrap();
    faults.quota(Some(0));
    assert_eq!(s.run(s.store.apply(put(3, 40_000))).unwrap_err().reason(), Reason::StorageFull);
    let mut checkpoint = std::pin::pin!(s.store.checkpoint());
    assert!(s.at_once(checkpoint.as_mut()).is_none());
    while s.steps.step(Part::Commit) {}
    assert!(s.at_once(checkpoint.as_mut()).is_none(), "it waits for the drain");
    faults.set(Some(Fault::Sync(".log")));
    let mut delete = std::pin::pin!(s.store.apply(alice(Op::DeleteAccount, 4)));
    assert!(s.at_once(delete.as_mut()).is_none());
    while s.steps.step(Part::Commit) {}
    assert_eq!(s.at_once(delete.as_mut()).unwrap().unwrap_err().reason(), Reason::SyncFailed);
    assert_eq!(s.run(checkpoint).unwrap_err().reason(), Reason::Closed);
}

/// One cycle does not fit, and the next, planned at once, would: nothing is written behind bytes that are not there.
#[test]
fn a_cycle_without_room_leaves_no_hole() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let s = Stepped::open_in(env, Options { log_file_bytes: 64 << 10, cycle_mutations_max: 2, ..small(dir.path()) });
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    s.run(s.store.apply(put(2, 40_000))).unwrap();
    faults.set(Some(Fault::NoRoom(".log")));
    type Call<'a> = Pin<Box<dyn Future<Output = Result<Receipt>> + Send + 'a>>;
    let mut calls: Vec<Call<'_>> =
        [put(3, 20_000), put(4, 20_000), put(5, 100)].map(|m| Box::pin(s.store.apply(m)) as Call<'_>).into();
    let poll = |calls: &mut Vec<Call<'_>>| {
        let mut context = Context::from_waker(Waker::noop());
        calls.iter_mut().map(|call| call.as_mut().poll(&mut context)).collect::<Vec<_>>()
    };
    assert!(poll(&mut calls).iter().all(Poll::is_pending));
    while s.steps.step(Part::Commit) {}
    for answer in poll(&mut calls) {
        let Poll::Ready(answer) = answer else { panic!("every call is answered") };
        assert_eq!(answer.unwrap_err().reason(), Reason::StorageFull);
    }
    drop(calls);
    faults.set(None);
    assert!(s.steps.step(Part::Drain), "it looks for space");
    s.run(s.store.apply(put(6, 100))).unwrap();
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    Tranquil::open(small(killed.path())).expect("what was acknowledged can be read to its end");
}

/// The disk has one sync for all that comes while it is busy with another, whenever that is.
#[test]
fn all_that_comes_while_a_cycle_is_written_is_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let s = Stepped::open(Options { cycle_mutations_max: 6, ..small(dir.path()) });
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    let counter = |name: &str| {
        let stats = s.run(s.store.stats()).unwrap();
        stats.counters.into_iter().find(|(n, _)| n == name).unwrap().1
    };
    let (cycles, syncs) = (counter("cycles"), counter("syncs"));
    let mut calls: Vec<_> = (2..=14).map(|n| s.store.apply(put(n, 10))).collect();
    let mut context = Context::from_waker(Waker::noop());
    // Two begin; five come in three bites; the rest is more than a cycle takes.
    for bite in [0..2, 2..3, 3..5, 5..7, 7..13] {
        assert!(calls[bite].iter_mut().all(|call| call.as_mut().poll(&mut context).is_pending()));
        assert!(s.steps.step(Part::Commit));
    }
    while s.steps.step(Part::Commit) {}
    let receipts = calls.iter_mut().map(|call| match call.as_mut().poll(&mut context) {
        Poll::Ready(answer) => answer.unwrap().pos.0,
        Poll::Pending => panic!("every call is answered"),
    });
    let first = 2;
    assert_eq!(receipts.collect::<Vec<_>>(), (first..first + 13).collect::<Vec<_>>());
    drop(calls);
    assert_eq!((counter("cycles") - cycles, counter("syncs") - syncs), (3, 3), "2, 6 and 5 of them");
}

/// A store whose ingestion says that it failed, once, and shows what it did only when it is opened again.
#[derive(Clone, Default)]
struct Hiding {
    live: CountingKv,
    fails: Arc<AtomicBool>,
    hurt: Arc<AtomicBool>,
    /// Reopenings that a reader puts off.
    put_off: Arc<AtomicU64>,
    hidden: Arc<Mutex<Option<Run>>>,
}

impl MetaKv for Hiding {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        if self.fails.swap(false, Ordering::SeqCst) {
            *self.hidden.lock().unwrap() = Some(run.collect());
            self.hurt.store(true, Ordering::SeqCst);
            return Err(Error::new(Reason::StorageFull, "told to have failed"));
        }
        self.live.ingest(run)
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        self.live.snapshot()
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn close(&self) {}

    fn is_worn(&self, _: bool) -> bool {
        self.hurt.load(Ordering::SeqCst)
    }

    fn reopen(&self, _: bool) -> Result<bool> {
        let less = |left: u64| left.checked_sub(1);
        if self.put_off.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Ok(false);
        }
        if let Some(run) = self.hidden.lock().unwrap().take() {
            self.live.ingest(&mut run.into_iter())?;
        }
        self.hurt.store(false, Ordering::SeqCst);
        Ok(true)
    }
}

fn open(env: Env, directory: &Path, kv: &(impl MetaKv + Clone + 'static)) -> (Arc<Tranquil>, Steps) {
    let opened = kv.clone();
    let open_kv = move |path: &Path| -> Result<Arc<dyn MetaKv>> {
        std::fs::create_dir_all(path).unwrap();
        Ok(Arc::new(opened.clone()))
    };
    let (store, steps) = Tranquil::open_stepped(env, small(directory), open_kv).unwrap();
    (store, steps)
}

/// However late it shows that a drain was done, it is not done again.
#[test]
fn a_drain_that_was_done_and_said_otherwise_is_not_done_twice() {
    for put_off in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let kv = Hiding::default();
        let (store, steps) = open(Env::real(), dir.path(), &kv);
        run(&steps, async {
            let mut alice = Person::create(&*store, "alice", 1).await.unwrap();
            for i in 0..5 {
                alice.post(&*store, &format!("note {i}")).await.unwrap();
            }
            kv.put_off.store(put_off, Ordering::SeqCst);
            kv.fails.store(true, Ordering::SeqCst);
            assert_eq!(store.checkpoint().await.unwrap_err().reason(), Reason::StorageFull);
            store.checkpoint().await.unwrap();
            let report = store.verify(VerifyLevel::Deep).await.unwrap();
            assert!(report.problems.is_empty(), "put off {put_off} times: {report:?}");
        });
    }
}

/// A store that cannot be opened again at the first attempt after a full disk, as for want of a descriptor.
#[derive(Clone, Default)]
struct Stubborn {
    live: CountingKv,
    sparing: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

impl MetaKv for Stubborn {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        self.live.ingest(run)
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        self.live.snapshot()
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn close(&self) {}

    fn is_worn(&self, sparing: bool) -> bool {
        self.sparing.load(Ordering::SeqCst) != sparing
    }

    fn reopen(&self, sparing: bool) -> Result<bool> {
        if !sparing && !self.failed.swap(true, Ordering::SeqCst) {
            return Err(Error::new(Reason::ReadFailed, "too many open files"));
        }
        self.sparing.store(sparing, Ordering::SeqCst);
        Ok(true)
    }
}

/// What fails once at the end of a full disk is tried again.
#[test]
fn one_failed_reopening_after_a_full_disk_is_tried_again() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let kv = Stubborn::default();
    let (store, steps) = open(env, dir.path(), &kv);
    run(&steps, async {
        store.apply(alice(create_account("alice"), 1)).await.unwrap();
        store.checkpoint().await.unwrap();
        faults.quota(Some(0));
        assert_eq!(store.apply(put(2, 60_000)).await.unwrap_err().reason(), Reason::StorageFull);
        // Opened again, sparing.
        drop(store.checkpoint().await);
        faults.quota(None);
        // One of these meets the failure, and the next one goes on.
        drop(store.checkpoint().await);
        drop(store.checkpoint().await);
        assert!(kv.failed.load(Ordering::SeqCst), "the reopening failed once");
        store.apply(put(3, 100)).await.unwrap();
        assert!(store.account(&AccountName::Did(did("alice"))).await.unwrap().is_some());
    });
}

/// What waits has a bound: who comes when it is reached is told to come again, and one is taken however large it is.
#[test]
fn what_waits_to_be_written_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let s = Stepped::open_in(Env::real(), Options { queue_bytes_max: 100_000, ..small(dir.path()) });
    s.run(s.store.apply(alice(create_account("alice"), 1))).unwrap();
    let mut calls: Vec<_> = (0..30).map(|n| Box::pin(s.store.apply(put(2 + n, 10_000)))).collect();
    let answers: Vec<_> = calls.iter_mut().map(|call| s.at_once(call.as_mut())).collect();
    let waits = answers.iter().take_while(|answer| answer.is_none()).count();
    assert!((8..10).contains(&waits), "{waits} wait");
    let is_told = |answer: &Option<Result<Receipt>>| matches!(answer, Some(Err(e)) if e.reason() == Reason::Overloaded);
    assert!(answers[waits..].iter().all(is_told));
    calls.truncate(waits);
    calls.into_iter().for_each(|call| drop(s.run(call).unwrap()));
}
