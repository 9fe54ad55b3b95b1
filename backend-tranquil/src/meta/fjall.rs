//! The key-value store on Fjall.
//!
//! One keyspace holds everything, so that one ingestion is one atomic step over all of the metadata, with one log
//! position. Fjall's journal is never written: the commit log is the write-ahead log.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use backend_api::{Error, Reason, Result};
use bytes::Bytes;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::io::{Disk, is_short};

use super::kept::Kept;
use super::{MetaKv, MetaSnapshot, Pairs};

/// Runs that may wait to be merged: one more waits for a merge of them all. Fjall's manifest counts them in one byte and
/// does not look whether they fit.
const RUNS_MAX: usize = 128;

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

/// Fjall lets its files go when the last handle is dropped: these are the only ones.
struct Handles(RwLock<Option<(Database, Keyspace)>>);

struct FjallSnapshot {
    handles: Arc<Handles>,
    snapshot: Option<Snapshot>,
    kept: Kept,
}

impl Handles {
    fn keyspace(&self) -> Result<Keyspace> {
        match &*self.0.read().expect("no panic under this lock") {
            Some((_, keyspace)) => Ok(keyspace.clone()),
            None => Err(closed()),
        }
    }

    /// True if the thread that compacts has ended with an error.
    fn is_poisoned(&self) -> bool {
        let handles = self.0.read().expect("no panic under this lock");
        handles.as_ref().is_some_and(|(database, _)| {
            // Nothing is ever in the journal's buffer: this only looks.
            matches!(database.persist(PersistMode::Buffer), Err(fjall::Error::Poisoned))
        })
    }

    fn close(&self) {
        drop(self.0.write().expect("no panic under this lock").take());
    }
}

fn closed() -> Error {
    Error::new(Reason::Closed, "the store was closed")
}

fn failed(what: &str, error: &fjall::Error) -> Error {
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
    Ok(Handles(RwLock::new(Some((database, keyspace)))))
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(8 << 20)
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
        let open = handles.0.read().expect("no panic under this lock");
        let snapshot = open.as_ref().map(|(database, _)| database.snapshot());
        drop(open);
        Arc::new(FjallSnapshot { handles, snapshot, kept: Kept::new(self.cache_bytes / KEPT_PART) })
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
        let is_closed = handles.0.read().expect("no panic under this lock").is_none();
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
        let handles = self.handles.0.read().expect("no panic under this lock");
        let (Some((_, keyspace)), Some(snapshot)) = (&*handles, &self.snapshot) else { return Err(closed()) };
        let value = snapshot.get(keyspace, key).map_err(|e| failed("get", &e))?;
        Ok(value.map(Into::into))
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
        let Some(snapshot) = &self.snapshot else { return Box::new(std::iter::once(Err(closed()))) };
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (from, to);
        let iter = snapshot.range::<&[u8], _>(&keyspace, range);
        let pair = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|e| failed("range", &e))?;
            Ok((key.into(), value.into()))
        };
        if reverse { Box::new(iter.rev().map(pair)) } else { Box::new(iter.map(pair)) }
    }
}
