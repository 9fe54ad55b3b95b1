//! A full disk never corrupts, and never blocks reads, deletes or garbage collection; when there is space again writing
//! goes on without a restart (promise P6).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::disk::{Fault, FaultDisk, Faults};
use crate::common::story::copy;
use crate::common::town::{HOUR, Town, options};
use backend_api::mutation::Announce;
use backend_api::{
    AccountStatus, Expect, Maintenance, Micros, Mutation, Op, Reason, Row, RowKey, RowKind, Rows, Writes,
};
use backend_tranquil::Options;
use backend_tranquil::io::Disk;

fn disk(faults: &Arc<Faults>) -> Arc<dyn Disk> {
    Arc::new(FaultDisk(Arc::clone(faults)))
}

async fn town(dir: &Path, faults: &Arc<Faults>) -> Town {
    Town::new(disk(faults), options(dir)).await
}

/// What must go on while the disk is full.
async fn deletes_go_on(town: &mut Town) {
    town.check().await;
    for person in 0..3 {
        assert!(town.delete_record(person).await.unwrap(), "a record to delete");
    }
    let session = Op::DeleteRow { key: RowKey { kind: RowKind::Session, key: b"p1".to_vec() }, expect: Expect::Any };
    town.apply(1, vec![session]).await.unwrap();
    town.apply(2, vec![Op::SetStatus(AccountStatus::Takendown), Op::Emit(Announce::Account)]).await.unwrap();
    town.apply(2, vec![Op::SetStatus(AccountStatus::Active), Op::Emit(Announce::Account)]).await.unwrap();
    let mut row = Row::new(RowKind::Session, b"another", b"signed in to delete".to_vec());
    row.expires_at = Some(Micros(2_000 * HOUR));
    town.apply(0, vec![Op::PutRow { row, expect: Expect::Any }]).await.unwrap();
    // What adds is still refused, at the latest when what was found meanwhile is used up as well.
    town.fill().await;
    town.check().await;
}

/// A disk of any size, filled to its last byte: whatever it is that finds no space first.
#[tokio::test]
async fn a_full_disk_takes_deletes_and_writing_goes_on_when_there_is_space() {
    for free in [0, 3_000, 10_000, 17_000, 30_000, 50_000, 90_000, 150_000, 300_000, 700_000] {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let mut town = town(dir.path(), &faults).await;
        faults.quota(Some(free));
        // A drain that ends just then may find some more space.
        let mut fills = 0;
        while fills == 0 || town.counter("full").await == 0 {
            town.fill().await;
            fills += 1;
            assert!(fills < 100, "a store that was refused space does not say so");
        }
        deletes_go_on(&mut town).await;
        // Closed and opened on the full disk: all of it is there.
        town.reopen().await;
        town.check().await;
        // The close gave back what was preallocated: some more fits.
        town.fill().await;
        town.delete_record(3).await.unwrap();
        town.check().await;
        faults.quota(None);
        town.goes_on().await;
    }
}

/// Killed while the disk is full, and opened on a disk that has nothing left at all.
#[tokio::test]
async fn a_store_opens_on_a_full_disk() {
    for free in [0, 20_000, 90_000] {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let mut first = town(dir.path(), &faults).await;
        faults.quota(Some(free));
        first.fill().await;
        deletes_go_on(&mut first).await;
        let killed = tempfile::tempdir().unwrap();
        copy(dir.path(), killed.path());
        // Half of a cycle at the end of the log, as a kill leaves it.
        let log = crate::common::story::with_ending(&killed.path().join("log"), "log").pop().unwrap();
        let faults = Arc::<Faults>::default();
        faults.quota(Some(0));
        tear(&log);
        let (disk, options) = (disk(&faults), options(killed.path()));
        let mut second = Town { store: Town::open_store(&disk, &first.clock, &options), disk, options, ..first };
        second.check().await;
        assert_eq!(second.counter("torn_bytes").await, 5, "{free}");
        // What the open itself gave back may hold a few.
        second.fill().await;
        second.check().await;
        faults.quota(None);
        second.goes_on().await;
    }
}

/// Puts a few bytes behind the last cycle.
fn tear(log: &Path) {
    use std::os::unix::fs::FileExt;
    let bytes = std::fs::read(log).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    std::fs::OpenOptions::new().write(true).open(log).unwrap().write_all_at(b"\x01torn", end as u64).unwrap();
}

/// Each sort of file that may be the first to find no space.
#[tokio::test]
async fn every_sort_of_file_may_find_no_space() {
    // Log and its rotation, segments, the run of a drain, copies of the metadata, hints, indexes, the reserve itself.
    for ending in [".log", ".segment", "room.tmp", ".snapshot", "hint-tmp", "index-tmp", "reserve", ".tmp"] {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let small = Options { memtable_bytes_max: 32 << 10, snapshot_log_bytes_min: 1, ..options(dir.path()) };
        let mut town = Town::new(disk(&faults), small).await;
        faults.set(Some(Fault::NoRoom(ending)));
        let mut refused = false;
        for _ in 0..300 {
            match town.post().await {
                Ok(()) => {}
                Err(e) => {
                    assert_eq!(e.reason(), Reason::StorageFull, "{ending}: {e}");
                    refused = true;
                    break;
                }
            }
        }
        let optional = [".snapshot", "hint-tmp", "index-tmp", "reserve"].contains(&ending);
        assert_ne!(refused, optional, "{ending}: what can be done later holds nobody up");
        town.check().await;
        assert!(town.delete_record(0).await.unwrap(), "{ending}");
        town.check().await;
        town.reopen().await;
        town.check().await;
        faults.set(None);
        town.goes_on().await;
    }
}

/// The next log file has its space and finds none in the directory: the current one goes on, and it is tried again.
#[tokio::test]
async fn a_directory_without_room_for_the_next_log_file_stops_nothing() {
    for fault in [Fault::Rename(".log"), Fault::Directory("log")] {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
        let mut town = Town::new(disk(&faults), options(dir.path())).await;
        let files = || crate::common::story::with_ending(&dir.path().join("log"), "log").len();
        let before = files();
        faults.set(Some(fault));
        for _ in 0..200 {
            town.post().await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        }
        if fault == Fault::Rename(".log") {
            assert_eq!(files(), before, "no file is there that does not count");
        }
        faults.set(None);
        town.goes_on().await;
        assert!(files() > before, "{fault:?}: it was tried again");
    }
}

/// Whoever takes all descriptors, a crowd of idle connections for instance, gives them back some time.
#[tokio::test]
async fn descriptors_that_run_out_stop_nothing() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let mut town = town(dir.path(), &faults).await;
    faults.set(Some(Fault::Descriptors));
    assert!(town.fill().await > 0, "what is open takes on");
    let error = town.post().await.unwrap_err();
    assert!(error.detail().contains("os error 24"), "the cause is told: {error}");
    // Also after a drain was tried: what memory has not is still read.
    for _ in 0..2 {
        assert_eq!(town.store.checkpoint().await.unwrap_err().reason(), Reason::StorageFull);
        let error = town.post().await.unwrap_err();
        assert_eq!(error.reason(), Reason::StorageFull, "{error}");
        let name = backend_api::AccountName::Did(town.people[0].repo.did.clone());
        assert!(backend_api::Accounts::account(&*town.store, &name).await.unwrap().is_some());
    }
    faults.set(None);
    town.goes_on().await;
}

/// The next log file takes the last one, and its directory cannot be opened to be synced.
#[tokio::test]
async fn the_last_descriptor_may_go_to_the_next_log_file() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let mut town = town(dir.path(), &faults).await;
    let before = town.counter("rotations").await;
    faults.set(Some(Fault::LastDescriptor("log")));
    for _ in 0..300 {
        town.post().await.unwrap();
    }
    assert_eq!(town.counter("rotations").await, before, "the file that is there takes on");
    faults.set(None);
    for _ in 0..20 {
        town.post().await.unwrap();
    }
    assert!(town.counter("rotations").await > before, "the next one is begun as soon as it can be");
    town.goes_on().await;
}

/// Nobody waits while it is tried again and again whether the reserve can be had.
#[tokio::test]
async fn a_reserve_that_cannot_be_cut_keeps_nobody_waiting() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    // The log is what finds no space first, not memory.
    let roomy = Options { memtable_bytes_max: 4 << 20, ..options(dir.path()) };
    let mut town = Town::new(disk(&faults), roomy).await;
    faults.set(Some(Fault::Cut("reserve")));
    faults.quota(Some(0));
    town.fill().await;
    let put = |n: u32| {
        let mut row = Row::new(RowKind::Session, n.to_be_bytes(), vec![7; 4_000]);
        row.expires_at = Some(Micros(2_000 * HOUR));
        Op::PutRow { row, expect: Expect::Any }
    };
    for n in 0..10_000 {
        let answer = tokio::time::timeout(Duration::from_secs(60), town.apply(0, vec![put(n)])).await;
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(e)) => {
                assert_eq!(e.reason(), Reason::StorageFull, "{e}");
                break;
            }
            Err(_) => {
                // So that the store comes to its end.
                faults.set(None);
                faults.quota(None);
                panic!("write {n} has no answer");
            }
        }
    }
    town.check().await;
    faults.set(None);
    faults.quota(None);
    town.goes_on().await;
}

/// What an account leaves behind is swept when it is drained, and there is no room for that: old events go all the same.
#[tokio::test]
async fn events_go_although_another_part_finds_no_space() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let mut town = Town::new(disk(&faults), Options { log_file_bytes: 1 << 20, ..options(dir.path()) }).await;
    town.apply(3, vec![Op::DeleteAccount]).await.unwrap();
    town.clock.set(Micros(1_000 * HOUR + 200 * HOUR));
    faults.set(Some(Fault::NoRoom("")));
    let report = town.store.sweep(usize::MAX).await.unwrap();
    assert!(report.events > 0, "{report:?}");
    assert!(report.held.iter().any(|held| held.contains("became invisible")), "{:?}", report.held);
    faults.set(None);
    let report = town.store.sweep(usize::MAX).await.unwrap();
    assert!(report.done && report.held.is_empty() && report.entries > 0, "{report:?}");
}

/// Nothing can be drained: memory is bounded, nobody waits for ever, and closing comes to its end.
#[tokio::test]
async fn what_cannot_be_drained_is_bounded_and_holds_nobody_up() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let small = Options { memtable_bytes_max: 32 << 10, ..options(dir.path()) };
    let mut town = Town::new(disk(&faults), small).await;
    faults.set(Some(Fault::NoRoom("room.tmp")));
    town.fill().await;
    let error = town.store.checkpoint().await.unwrap_err();
    assert_eq!(error.reason(), Reason::StorageFull, "who waits for a drain is told");
    let mut deletes = 0;
    let error = loop {
        // Deleted and refused to be written again: in the end the session of one is put and taken, over and over.
        let mut row = Row::new(RowKind::Session, b"again", vec![7; 1_000]);
        row.expires_at = Some(Micros(2_000 * HOUR));
        match town.apply(0, vec![Op::PutRow { row, expect: Expect::Any }]).await {
            Ok(()) => deletes += 1,
            Err(e) => break e,
        }
        assert!(deletes < 10_000, "memory has a bound");
    };
    assert_eq!(error.reason(), Reason::StorageFull);
    assert!(deletes > 5, "there is room for small things: {deletes}");
    assert!(town.counter("memtable_bytes").await < 3 * (32 << 10));
    town.check().await;
    town.reopen().await;
    town.check().await;
    faults.set(None);
    town.goes_on().await;
}

/// Collection goes on, and what it frees is found.
#[tokio::test]
async fn collection_goes_on_and_makes_space() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    // As by default: the reserve has room for more than one drain.
    let roomy = Options { log_file_bytes: 1 << 20, ..options(dir.path()) };
    let mut town = Town::new(disk(&faults), roomy).await;
    faults.quota(Some(600_000));
    town.fill().await;
    town.apply(3, vec![Op::DeleteAccount, Op::Emit(Announce::Account)]).await.unwrap();
    let gone = town.people.pop().unwrap();
    town.clock.set(Micros(1_000 * HOUR + 200 * HOUR));
    let before = faults.free().unwrap();
    let report = town.store.sweep(usize::MAX).await.unwrap();
    assert!(report.done && report.blocks > 0 && report.entries > 0 && report.events > 0, "{report:?}");
    town.check().await;
    use backend_api::{At, Repos};
    assert!(town.store.repo(&gone.repo.did, At::Head).await.unwrap().is_none());
    assert!(faults.free().unwrap() > before, "segments out of retention are gone from the disk");
}

/// Nothing is compacted while the disk is full: the key-value store is never given more runs than it can count.
#[tokio::test]
async fn many_drains_without_compaction_lose_nothing() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    faults.set(Some(Fault::NoRoom("reserve")));
    let clock = Arc::default();
    let (disk, options) = (disk(&faults), options(dir.path()));
    let store = Town::open_store(&disk, &clock, &options);
    let mut row = Row::new(RowKind::Session, b"", b"signed in".to_vec());
    row.expires_at = Some(Micros(2_000 * HOUR));
    for i in 0..300_u32 {
        row.key.key = i.to_be_bytes().to_vec();
        let ops = vec![Op::PutRow { row: row.clone(), expect: Expect::Absent }];
        let did = conformance::scene::did("alice");
        let mutation = Mutation { did, key: crate::common::story::key(i.into()), ops, blocks: Vec::new() };
        store.apply(mutation).await.unwrap();
        store.checkpoint().await.unwrap();
    }
    let counters = store.stats().await.unwrap().counters;
    assert!(counters.contains(&("full".into(), 1)), "there is no reserve: {counters:?}");
    store.close().await.unwrap();
    let store = Town::open_store(&disk, &clock, &options);
    let counters = store.stats().await.unwrap().counters;
    assert!(counters.contains(&("rebuilt".into(), 0)), "it opens as it is: {counters:?}");
    for i in 0..300_u32 {
        row.key.key = i.to_be_bytes().to_vec();
        assert_eq!(store.row(&row.key).await.unwrap().as_ref(), Some(&row), "{i}");
    }
}

/// A retry of what was taken before gets its receipt, on a full disk as well.
#[tokio::test]
async fn a_retry_on_a_full_disk_gets_its_receipt() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let mut town = town(dir.path(), &faults).await;
    let person = &mut town.people[0];
    let write = conformance::scene::Write::Put(
        conformance::scene::path("com.example.note/6"),
        conformance::scene::content("x"),
    );
    let draft = person.repo.draft(&[write]);
    let mutation = draft.mutation(crate::common::story::key(77));
    let receipt = town.store.apply(mutation.clone()).await.unwrap();
    person.repo = draft.after;
    faults.quota(Some(0));
    town.fill().await;
    assert_eq!(town.store.apply(mutation).await.unwrap(), receipt);
}

/// A file system of its own, and small; `None` where mounting is refused.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self(dir))
    }

    /// Takes all but so many bytes, or what is left of them by those who write meanwhile.
    fn leave(&self, bytes: u64) {
        let filler = std::fs::File::create(self.0.path().join("filler")).unwrap();
        let (mut len, mut step) = (0, 8 << 20);
        while step >= 4_096 {
            let stat = rustix::fs::statvfs(self.0.path()).unwrap();
            let fits = stat.f_bavail * stat.f_frsize >= bytes + step;
            if fits && rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), len, step).is_ok() {
                len += step;
            } else {
                step /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// A disk that is really full, under all of it: the key-value store's own files as well. It takes the right to mount, which
/// a machine need not give its tests: the only one that is left out then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_full_disk_hurts_nothing_for_good() {
    let Some(mount) = Mount::new(128) else {
        println!("left out: this machine does not let its tests mount a file system of 128 MB");
        return;
    };
    let directory = mount.0.path().join("store");
    let options = Options { log_file_bytes: 1 << 20, memtable_bytes_max: 256 << 10, ..options(&directory) };
    let mut town = Town::new(Arc::new(backend_tranquil::io::RealDisk), options).await;
    // Something for compaction to do.
    for _ in 0..1_500 {
        town.post().await.unwrap();
    }
    for round in 0..12_u64 {
        mount.leave(round * 150_000);
        town.fill().await;
        deletes_go_on(&mut town).await;
        town.store.checkpoint().await.unwrap_or_else(|e| assert_eq!(e.reason(), Reason::StorageFull, "{e}"));
        town.check().await;
        let held_back = town.counter("reopened").await;
        assert!(held_back > 0, "round {round}: compaction is held back while the disk is full");
        if round % 3 == 2 {
            town.reopen().await;
            town.check().await;
        }
        mount.free();
        town.store.checkpoint().await.unwrap();
        assert_eq!(town.counter("full").await, 0, "it notices by itself");
        for _ in 0..40 {
            town.post().await.unwrap();
        }
        town.check().await;
    }
    // As a kill would leave it, and nothing left at all.
    let killed = mount.0.path().join("killed");
    town.post().await.unwrap();
    let copied = std::process::Command::new("cp").args(["-a", "--sparse=always"]).args([&directory, &killed]).status();
    assert!(copied.unwrap().success());
    mount.leave(0);
    let second = Options { directory: killed.clone(), ..town.options.clone() };
    let first = std::mem::replace(&mut town.store, Town::open_store(&town.disk, &town.clock, &second));
    town.check().await;
    town.fill().await;
    assert!(town.delete_record(3).await.unwrap());
    town.check().await;
    town.store.close().await.unwrap();
    mount.free();
    town.options = second;
    town.store = Town::open_store(&town.disk, &town.clock, &town.options);
    // Compaction is alive: each drain adds a table, and only a merge takes some away, at the latest with the drain after it.
    let tables = || std::fs::read_dir(killed.join("meta/keyspaces/1/tables")).unwrap().count();
    let mut merged = false;
    for _ in 0..60 {
        let before = tables();
        town.post().await.unwrap();
        town.store.checkpoint().await.unwrap();
        let fewer = async {
            while tables() > before {
                tokio::task::yield_now().await;
            }
        };
        merged |= tokio::time::timeout(std::time::Duration::from_millis(500), fewer).await.is_ok();
        if merged {
            break;
        }
    }
    assert!(merged, "{} tables, and none of them was merged", tables());
    town.goes_on().await;
    drop(first.close().await);
}

/// However many segments there are, few of them are open.
#[tokio::test]
async fn descriptors_of_segments_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = Options { segment_bytes: 1, ..options(dir.path()) };
    let mut town = Town::new(Arc::new(backend_tranquil::io::RealDisk), tiny).await;
    for _ in 0..300 {
        town.post().await.unwrap();
    }
    town.check().await;
    let open = || {
        let links =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|e| std::fs::read_link(e.unwrap().path()).ok());
        links.filter(|l| l.starts_with(dir.path()) && l.extension().is_some_and(|e| e == "segment")).count()
    };
    assert!(crate::common::story::with_ending(dir.path(), "segment").len() > 300);
    // Those that are kept for readers, and the newest ones that wait for their sync.
    assert!(open() <= 64 + 18, "{} segments are open", open());
    town.reopen().await;
    town.check().await;
    assert!(open() <= 66, "{} segments are open after a reopen", open());
}
