//! The key-value store on Fjall.
//!
//! One keyspace holds everything, so that one ingestion is one atomic step over all of the metadata, with one log
//! position. Fjall's journal is never written: the commit log is the write-ahead log.

use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, RwLock};

use backend_api::{Error, Reason, Result};
use bytes::Bytes;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};

use crate::io::Disk;

use super::{MetaKv, MetaSnapshot, Pairs};

/// Fjall behind the contract.
pub struct FjallKv(Arc<Handles>);

/// Fjall lets its files go when the last handle is dropped: these are the only ones.
struct Handles(RwLock<Option<(Database, Keyspace)>>);

struct FjallSnapshot {
    handles: Arc<Handles>,
    snapshot: Option<Snapshot>,
}

impl Handles {
    fn keyspace(&self) -> Result<Keyspace> {
        match &*self.0.read().expect("no panic under this lock") {
            Some((_, keyspace)) => Ok(keyspace.clone()),
            None => Err(closed()),
        }
    }
}

fn closed() -> Error {
    Error::new(Reason::Closed, "the store was closed")
}

fn failed(what: &str, error: &fjall::Error) -> Error {
    let reason = match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Reason::StorageFull,
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
    pub fn open(disk: &dyn Disk, path: &Path, cache_bytes: u64) -> Result<Self> {
        super::guard::check(disk, path)?;
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .worker_threads(2)
            .max_journaling_size(64 << 20)
            .open()
            .map_err(|e| failed("open", &e))?;
        let keyspace = database.keyspace("meta", options).map_err(|e| failed("open", &e))?;
        Ok(Self(Arc::new(Handles(RwLock::new(Some((database, keyspace)))))))
    }
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

impl MetaKv for FjallKv {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let keyspace = self.0.keyspace()?;
        let mut ingestion = keyspace.start_ingestion().map_err(|e| failed("ingest", &e))?;
        for (key, value) in run {
            match value {
                Some(value) => ingestion.write(key, value),
                None => ingestion.write_tombstone(key),
            }
            .map_err(|e| failed("ingest", &e))?;
        }
        ingestion.finish().map_err(|e| failed("ingest", &e))
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        let handles = self.0.0.read().expect("no panic under this lock");
        let snapshot = handles.as_ref().map(|(database, _)| database.snapshot());
        Arc::new(FjallSnapshot { handles: Arc::clone(&self.0), snapshot })
    }

    fn disk_bytes(&self) -> u64 {
        self.0.keyspace().map_or(0, |keyspace| keyspace.disk_space())
    }

    fn close(&self) {
        drop(self.0.0.write().expect("no panic under this lock").take());
    }
}

impl MetaSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let handles = self.handles.0.read().expect("no panic under this lock");
        let (Some((_, keyspace)), Some(snapshot)) = (&*handles, &self.snapshot) else { return Err(closed()) };
        let value = snapshot.get(keyspace, key).map_err(|e| failed("get", &e))?;
        Ok(value.map(Into::into))
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
