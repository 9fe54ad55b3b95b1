//! Reads beside writes: each sees one state, whatever is committed and forgotten meanwhile, and none touches a file on its
//! caller's thread (promise P4; no call blocks an async runtime).

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use crate::common::disk::{FaultDisk, Faults};
use crate::common::story::{Person, small, write_story};
use crate::stepped_store::Stepped;
use backend_api::{
    AccountName, Accounts, At, BlockReads, Blocks, Changes, Cid, Did, Firehose, Maintenance, Pos, RecordQuery, Records,
    Repos, Result, RowKey, RowKind, Rows, Seq, VerifyLevel, VerifyReport,
};
use backend_tranquil::Options;
use backend_tranquil::io::Env;
use backend_tranquil::stepped::Part;
use conformance::scene::{content, nsid, path};

/// History is forgotten as soon as it is history.
fn forgetful(directory: &std::path::Path) -> Options {
    Options { history_window_us: 0, hot_bytes: 0, ..small(directory) }
}

/// A store with alice's seven notes in it, drained; and from now on, between two reads of the metadata, each of her notes
/// is written anew, and what was there before is forgotten.
fn restless(dir: &tempfile::TempDir) -> (Stepped, Did, Arc<AtomicU64>) {
    let db = Stepped::open(forgetful(dir.path()));
    let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
    for i in 0..7 {
        db.run(alice.post(&*db.store, &format!("note {i}"))).unwrap();
    }
    db.run(db.store.checkpoint()).unwrap();
    let (did, alice) = (alice.repo.did.clone(), Mutex::new(alice));
    let (between, times) = (db.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&times);
    db.kv.asked.between(move || {
        let n = counted.fetch_add(1, Ordering::SeqCst);
        // Enough to come between any two; a read must end all the same.
        if n < 40 {
            for i in 0..7 {
                between.run(alice.lock().unwrap().post(&*between.store, &format!("again {n} {i}"))).unwrap();
            }
            between.run(between.store.sweep(10_000)).unwrap();
        }
    });
    (db, did, times)
}

#[test]
fn a_record_is_read_in_one_state() {
    let dir = tempfile::tempdir().unwrap();
    let (db, alice, times) = restless(&dir);
    for rkey in 0..7 {
        let record = db.run(db.store.record(&alice, &path(&format!("com.example.note/{rkey}")))).unwrap().unwrap();
        assert!(record.cid.matches(&record.bytes));
    }
    assert!(times.load(Ordering::SeqCst) > 1, "something came between");
}

#[test]
fn a_page_of_records_has_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let (db, alice, times) = restless(&dir);
    let query = RecordQuery { collection: nsid("com.example.note"), after: None, reverse: false, limit: 5 };
    let page = db.run(db.store.records(&alice, &query)).unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (5, true));
    assert!(times.load(Ordering::SeqCst) > 1, "something came between");
}

#[test]
fn a_repo_is_read_in_one_state() {
    let dir = tempfile::tempdir().unwrap();
    let (db, alice, times) = restless(&dir);
    for at in [At::Head, At::Time(backend_api::Micros(u64::MAX))] {
        let repo = db.run(db.store.repo(&alice, at)).unwrap().expect("a repo that is there has a head");
        assert_eq!(repo.counters.records, 7);
    }
    assert!(times.load(Ordering::SeqCst) > 1, "something came between");
}

#[test]
fn verify_sees_one_state_whatever_is_committed_and_swept_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _, times) = restless(&dir);
    let report = db.run(db.store.verify(VerifyLevel::Deep)).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(times.load(Ordering::SeqCst) > 10, "something came between");
}

/// Every call that reads a few keys is answered at once from memory, and never from the store or a file.
#[test]
fn what_is_not_in_memory_is_read_by_threads_of_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env { disk: Arc::new(FaultDisk::default()), ..Env::real() };
    let db = Stepped::open_in(env, Options { hot_bytes: 1 << 20, ..small(dir.path()) });
    let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
    db.run(alice.post(&*db.store, "a note")).unwrap();
    let (did, note) = (alice.repo.did.clone(), path("com.example.note/1"));
    let (name, row) = (AccountName::Did(did.clone()), RowKey { kind: RowKind::Session, key: b"alice".to_vec() });
    let cid = [content("a note").cid()];
    let s = &*db.store;
    // All of it is in the memtable, but for the block's bytes.
    assert!(db.at_once(s.account(&name)).unwrap().unwrap().is_some());
    assert!(db.at_once(s.row(&row)).unwrap().unwrap().is_some());
    assert!(db.at_once(s.row_unique(RowKind::Session, 0, b"token of alice")).unwrap().unwrap().is_some());
    assert!(db.at_once(s.repo(&did, At::Head)).unwrap().unwrap().is_some());
    assert!(db.at_once(s.record(&did, &note)).is_none(), "its bytes are in a file");
    assert!(db.run(s.record(&did, &note)).unwrap().is_some());
    assert!(db.at_once(s.record(&did, &note)).unwrap().unwrap().is_some(), "and now in the hot tier");
    assert!(db.at_once(s.blocks(&did, &cid, Blocks::Live)).unwrap().unwrap()[0].is_some());
    // None of it is.
    db.run(s.checkpoint()).unwrap();
    let gets = db.kv.asked.gets.load(Ordering::SeqCst);
    assert!(db.at_once(s.account(&name)).is_none());
    assert!(db.at_once(s.row(&row)).is_none());
    assert!(db.at_once(s.row_unique(RowKind::Session, 0, b"token of alice")).is_none());
    assert!(db.at_once(s.repo(&did, At::Head)).is_none());
    assert!(db.at_once(s.record(&did, &note)).is_none());
    assert!(db.at_once(s.blocks(&did, &cid, Blocks::Live)).is_none());
    assert_eq!(db.kv.asked.gets.load(Ordering::SeqCst), gets, "nothing was read on this thread");
    assert!(db.run(s.record(&did, &note)).unwrap().is_some());
}

/// What the system has in memory takes no longer than what the store has, if it says so: a few small blocks, sound ones.
#[test]
fn blocks_that_the_system_has_in_memory_are_read_at_once() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let env = Env { disk: Arc::new(FaultDisk(Arc::clone(&faults))), ..Env::real() };
    let db = Stepped::open_in(env, Options { hot_bytes: 0, memtable_bytes_max: 64 << 20, ..small(dir.path()) });
    let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
    let long = "long ".repeat(20_000);
    let texts: Vec<String> = (1..7).map(|i| format!("note {i}")).chain([long]).collect();
    for text in &texts {
        db.run(alice.post(&*db.store, text)).unwrap();
    }
    let (did, s) = (alice.repo.did.clone(), &*db.store);
    let cids: Vec<_> = texts.iter().map(|text| content(text).cid()).collect();
    let read = |cids: &[Cid]| db.at_once(s.blocks(&did, cids, Blocks::Live)).map(|blocks| blocks.unwrap());
    assert!(read(&cids[..1]).is_none(), "the system does not say");
    faults.in_memory.store(true, Ordering::SeqCst);
    for (cid, text) in cids.iter().zip(&texts).take(6) {
        assert_eq!(read(&[*cid]).expect("at once"), [Some(content(text).bytes)]);
    }
    assert_eq!(read(&cids[..6]).expect("at once").len(), 6);
    assert!(read(&cids[6..]).is_none(), "a long one");
    assert!(read(&cids[..6].repeat(2)).is_none(), "many");
    // What is damaged there is not served, but looked at by those who can heal it.
    let log = dir.path().join("log/0000000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(6).position(|window| window == b"note 3").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    assert!(read(&cids[2..3]).is_none());
    assert!(db.run(s.blocks(&did, &cids[2..3], Blocks::Live)).is_err());
}

/// The feed is read while log files are sealed and begun under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_feed_is_whole_while_log_files_begin() {
    let dir = tempfile::tempdir().unwrap();
    let store = backend_tranquil::Tranquil::open(Options { log_file_bytes: 1 << 10, ..small(dir.path()) }).unwrap();
    let mut alice = Person::create(&*store, "alice", 0).await.unwrap();
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for i in 0..300 {
                alice.post(&*store, &format!("note {i}")).await.unwrap();
            }
        })
    };
    let mut after = 0;
    while after < 301 {
        let changes = store.changes(Pos(after), 3, 1 << 20).await.unwrap();
        for change in changes {
            after += 1;
            assert_eq!(change.stamp.pos, Pos(after));
        }
    }
    writer.await.unwrap();
}

/// A check of a large store takes hours. When nobody waits for it any more, it holds no thread; and of those that are waited
/// for, one runs at a time, so that reads have the other threads.
#[test]
fn a_check_that_nobody_waits_for_ends() {
    type Call = Pin<Box<dyn Future<Output = Result<VerifyReport>> + Send>>;
    let dir = tempfile::tempdir().unwrap();
    let stepped = Stepped::open(Options { hot_bytes: 0, ..small(dir.path()) });
    stepped.run(write_story(&*stepped.store, 60));
    let check = |level| -> Call {
        let store = Arc::clone(&stepped.store);
        Box::pin(async move { store.verify(level).await })
    };
    let idle = || while Part::ALL.iter().any(|part| *part != Part::Read && stepped.steps.step(*part)) {};
    let poll = |call: &mut Call| call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    for level in [VerifyLevel::Deep, VerifyLevel::Repair] {
        let before = stepped.kv.asked.visited();
        assert_eq!(stepped.run(check(level)).unwrap().problems, Vec::<String>::new());
        let whole = stepped.kv.asked.visited() - before;

        let (mut first, mut second) = (check(level), check(level));
        for _ in 0..3 {
            assert!(!poll(&mut first) && !poll(&mut second));
            idle();
        }
        let first = Arc::new(Mutex::new(Some(first)));
        // Its caller goes while it reads.
        let gone = Arc::clone(&first);
        let mut left = 2;
        stepped.kv.asked.between(move || {
            left -= 1;
            if left == 0 {
                gone.lock().unwrap().take();
            }
        });
        let before = stepped.kv.asked.visited();
        loop {
            idle();
            stepped.steps.step(Part::Read);
            let Some(first) = &mut *first.lock().unwrap() else { break };
            assert!(!poll(first), "{level:?}: it ended before its caller went");
        }
        stepped.kv.asked.alone();
        let read = stepped.kv.asked.visited() - before;
        assert!(read < whole / 2, "{level:?}: it read {read} of {whole} entries");
        assert!(!stepped.steps.step(Part::Read), "{level:?}: the second has waited for its turn");
        assert_eq!(stepped.run(second).unwrap().problems, Vec::<String>::new(), "{level:?}: and has it");
    }
}

/// Subscribers cost writers CPU and nothing else: what is written and synced is the same before 200 that follow and are not
/// heard of again, and nothing waits for them.
#[test]
fn followers_that_stand_still_cost_no_cycle_and_no_write() {
    let work = |followers: usize| {
        let dir = tempfile::tempdir().unwrap();
        let db = Stepped::open(small(dir.path()));
        let mut alice = db.run(Person::create(&*db.store, "alice", 0)).unwrap();
        let head = db.run(db.store.event_window()).unwrap().head;
        let mut waits: Vec<_> = (0..followers).map(|_| db.store.wait_events(head)).collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut context).is_pending()));
        let mut held = Vec::new();
        for n in 0..30 {
            db.run(alice.post(&*db.store, &format!("note {n}"))).unwrap();
            held.extend((0..followers).map(|_| db.run(db.store.events(Seq::ZERO, 1_000, usize::MAX)).unwrap()));
        }
        assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut context).is_ready()));
        let counters = db.run(db.store.stats()).unwrap().counters;
        let names = ["cycles", "syncs", "drains", "stalls"];
        names.map(|name| counters.iter().find(|(found, _)| found == name).unwrap().1)
    };
    let alone = work(0);
    assert!(alone[0] > 30, "{alone:?}");
    assert_eq!(work(200), alone);
}
