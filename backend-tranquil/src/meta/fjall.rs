//! The key-value store on Fjall.
//!
//! One keyspace holds everything, so that one ingestion is one atomic step over all of the metadata, with one log
//! position. Fjall's journal is never written: the commit log is the write-ahead log.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use backend_api::{Error, Reason, Result};
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::io::{Disk, is_short};

use super::kept::Kept;
use super::state::State;
use super::{MetaKv, MetaSnapshot, Pairs};

/// Runs that may wait to be merged: one more waits for a merge of them all. Fjall's manifest counts them in one byte and
/// does not look whether they fit.
const RUNS_MAX: usize = 128;

/// Fjall syncs whole tables, and while the disk takes one, the sync of a cycle waits: they are a quarter of its default.
const TABLE_BYTES: u64 = 16 << 20;
/// And twice as many as by default make a level, which is half of its size then.
const LEVEL_TABLES: u8 = 8;

/// This part of the cache is for single pairs, the rest for Fjall's blocks.
const KEPT_PART: u64 = 8;

/// Fjall behind the contract.
pub struct FjallKv {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    cache_bytes: u64,
    /// Replaced when it is opened again. Snapshots have the one that they are of.
    handles: RwLock<Arc<Handles>>,
    /// An ingestion ended with an error: what it wrote lies about until the next open.
    hurt: AtomicBool,
    /// Opened without compaction.
    sparing: AtomicBool,
}

/// Fjall lets its files go when the last handle is dropped: these are the only ones, and the states that were read of them.
struct Handles {
    open: RwLock<Option<(Database, Keyspace)>>,
    states: Mutex<Vec<Weak<State>>>,
}

struct FjallSnapshot {
    handles: Arc<Handles>,
    /// None if the store was closed before.
    now: Option<(Arc<State>, Snapshot)>,
    kept: Kept,
}

impl Handles {
    fn keyspace(&self) -> Result<Keyspace> {
        match &*self.open.read().expect("no panic under this lock") {
            Some((_, keyspace)) => Ok(keyspace.clone()),
            None => Err(closed()),
        }
    }

    /// True if the thread that compacts has ended with an error.
    fn is_poisoned(&self) -> bool {
        let handles = self.open.read().expect("no panic under this lock");
        handles.as_ref().is_some_and(|(database, _)| {
            // Nothing is ever in the journal's buffer: this only looks.
            matches!(database.persist(PersistMode::Buffer), Err(fjall::Error::Poisoned))
        })
    }

    fn now(&self) -> Option<(Arc<State>, Snapshot)> {
        let open = self.open.read().expect("no panic under this lock");
        let (database, keyspace) = open.as_ref()?;
        let (state, snapshot) = State::now(database, keyspace);
        let state = Arc::new(state);
        let mut states = self.states.lock().expect("no panic under this lock");
        states.retain(|state| state.strong_count() > 0);
        states.push(Arc::downgrade(&state));
        Some((state, snapshot))
    }

    fn close(&self) {
        let open = self.open.write().expect("no panic under this lock").take();
        // The files of a state that went later might by then be those of another store.
        for state in self.states.lock().expect("no panic under this lock").drain(..) {
            state.upgrade().inspect(|state| state.close());
        }
        drop(open);
    }
}

fn closed() -> Error {
    Error::new(Reason::Closed, "the store was closed")
}

pub(super) fn failed(what: &str, error: &fjall::Error) -> Error {
    let reason = match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => match e.kind() {
            _ if is_short(e) => Reason::StorageFull,
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::NotFound => {
                Reason::DataCorrupt
            }
            _ => Reason::ReadFailed,
        },
        fjall::Error::Locked => Reason::Locked,
        _ => Reason::DataCorrupt,
    };
    let hint = "it is derived data: close the store, remove the directory `meta` and open again to rebuild it";
    Error::new(reason, format!("metadata store: {what}: {error}; {hint}"))
}

impl FjallKv {
    /// Opens or creates the store in a directory of its own.
    ///
    /// # Errors
    /// [`Reason::DataCorrupt`] if Fjall finds damage.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path, cache_bytes: u64) -> Result<Self> {
        let handles = open(&**disk, path, cache_bytes, false)?;
        Ok(Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            cache_bytes,
            handles: RwLock::new(Arc::new(handles)),
            hurt: AtomicBool::new(false),
            sparing: AtomicBool::new(false),
        })
    }

    fn handles(&self) -> Arc<Handles> {
        Arc::clone(&self.handles.read().expect("no panic under this lock"))
    }
}

/// One worker: of several, Fjall lets one pass work on to the others for as long as they are busy, or dead. With none
/// nothing is compacted.
fn open(disk: &dyn Disk, path: &Path, cache_bytes: u64, sparing: bool) -> Result<Handles> {
    super::guard::check(disk, path)?;
    let database = Database::builder(path)
        .cache_size(cache_bytes - cache_bytes / KEPT_PART)
        .worker_threads_unchecked(usize::from(!sparing))
        .max_journaling_size(64 << 20)
        .open()
        .map_err(|e| failed("open", &e))?;
    let keyspace = database.keyspace("meta", options).map_err(|e| failed("open", &e))?;
    Ok(Handles { open: RwLock::new(Some((database, keyspace))), states: Mutex::default() })
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(8 << 20)
        .compaction_strategy(Arc::new(
            Leveled::default().with_table_target_size(TABLE_BYTES).with_l0_threshold(LEVEL_TABLES),
        ))
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0))))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

fn ingest(keyspace: &Keyspace, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<(), fjall::Error> {
    let mut ingestion = keyspace.start_ingestion()?;
    for (key, value) in run {
        match value {
            Some(value) => ingestion.write(key, value)?,
            None => ingestion.write_tombstone(key)?,
        }
    }
    ingestion.finish()
}

impl MetaKv for FjallKv {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let keyspace = self.handles().keyspace()?;
        let merged = if keyspace.l0_table_count() < RUNS_MAX { Ok(()) } else { keyspace.major_compact() };
        merged.and_then(|()| ingest(&keyspace, run)).map_err(|e| {
            self.hurt.store(true, Ordering::Release);
            failed("ingest", &e)
        })
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        let handles = self.handles();
        let now = handles.now();
        Arc::new(FjallSnapshot { handles, now, kept: Kept::new(self.cache_bytes / KEPT_PART) })
    }

    fn disk_bytes(&self) -> u64 {
        self.handles().keyspace().map_or(0, |keyspace| keyspace.disk_space())
    }

    fn is_worn(&self, sparing: bool) -> bool {
        self.hurt.load(Ordering::Acquire)
            || self.sparing.load(Ordering::Acquire) != sparing
            || self.handles().is_poisoned()
    }

    fn reopen(&self, sparing: bool) -> Result<bool> {
        let mut handles = self.handles.write().expect("no panic under this lock");
        // An older state reads files that the next open would remove, and later removes files by names that the next
        // open may give again.
        let is_closed = handles.open.read().expect("no panic under this lock").is_none();
        if !is_closed && Arc::get_mut(&mut handles).is_none() {
            return Ok(false);
        }
        handles.close();
        // If this fails it is tried again.
        self.hurt.store(true, Ordering::Release);
        *handles = Arc::new(open(&*self.disk, &self.path, self.cache_bytes, sparing)?);
        self.sparing.store(sparing, Ordering::Release);
        self.hurt.store(false, Ordering::Release);
        tracing::info!(sparing, "the metadata store was opened again");
        Ok(true)
    }

    fn close(&self) {
        self.handles().close();
    }
}

impl MetaSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.now.as_ref().ok_or_else(closed)?.0.get(key)
    }

    fn get_and_keep(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if let Some(value) = self.kept.get(key) {
            return Ok(Some(value));
        }
        let value = self.get(key)?;
        if let Some(value) = &value {
            self.kept.put(key, value);
        }
        Ok(value)
    }

    fn kept(&self, key: &[u8]) -> Option<Bytes> {
        self.kept.get(key)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Pairs<'_> {
        let keyspace = match self.handles.keyspace() {
            Ok(keyspace) => keyspace,
            Err(e) => return Box::new(std::iter::once(Err(e))),
        };
        let Some((_, snapshot)) = &self.now else { return Box::new(std::iter::once(Err(closed()))) };
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (from, to);
        let iter = snapshot.range::<&[u8], _>(&keyspace, range);
        let pair = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|e| failed("range", &e))?;
            Ok((key.into(), value.into()))
        };
        if reverse { Box::new(iter.rev().map(pair)) } else { Box::new(iter.map(pair)) }
    }
}

#[cfg(test)]
mod tests {
    use fjall::AbstractTree as _;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::io::Env;

    fn put(kv: &FjallKv, key: u8, value: u8) {
        kv.ingest(&mut std::iter::once((vec![key], Some(vec![value])))).unwrap();
    }

    fn value(state: &dyn MetaSnapshot, key: u8) -> Option<u8> {
        state.get(&[key]).unwrap().map(|value| value[0])
    }

    /// While tables are registered, which waits for syncs, everybody reads on.
    #[test]
    fn a_key_is_read_while_tables_are_registered() {
        let dir = tempfile::tempdir().unwrap();
        let kv = FjallKv::open(&Env::real().disk, dir.path(), 8 << 20).unwrap();
        put(&kv, 1, 1);
        let state = kv.snapshot();
        let keyspace = kv.handles().keyspace().unwrap();
        std::thread::scope(|scope| {
            let registers = keyspace.tree.get_version_history_lock();
            let (tell, told) = channel();
            let state = &state;
            scope.spawn(move || tell.send(value(&**state, 1)));
            let read = told.recv_timeout(Duration::from_secs(60));
            drop(registers);
            assert_eq!(read, Ok(Some(1)));
        });
    }

    /// Whatever is put in, deleted and merged later: a state is what it was, until it is closed.
    #[test]
    fn a_state_stays_what_it_was_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let kv = FjallKv::open(&Env::real().disk, dir.path(), 8 << 20).unwrap();
        let empty = kv.snapshot();
        put(&kv, 1, 1);
        put(&kv, 2, 2);
        let two = kv.snapshot();
        put(&kv, 1, 11);
        kv.ingest(&mut std::iter::once((vec![2], None))).unwrap();
        let one = kv.snapshot();
        kv.handles().keyspace().unwrap().major_compact().unwrap();
        let merged = kv.snapshot();
        let both = |state: &dyn MetaSnapshot| [value(state, 1), value(state, 2)];
        assert_eq!(both(&*empty), [None, None]);
        assert_eq!(both(&*two), [Some(1), Some(2)]);
        for state in [&one, &merged] {
            assert_eq!(both(&**state), [Some(11), None]);
            // Ranges go another way.
            let pairs: Vec<_> = state.range(Bound::Unbounded, Bound::Unbounded, false).collect::<Result<_>>().unwrap();
            assert_eq!(pairs.len(), 1);
        }
        kv.close();
        for state in [&empty, &two, &one, &merged, &kv.snapshot()] {
            assert_eq!(state.get(&[1]).unwrap_err().reason(), Reason::Closed);
        }
    }
}
