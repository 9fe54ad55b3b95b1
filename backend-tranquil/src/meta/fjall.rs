//! The key-value store on Fjall.
//!
//! One keyspace holds everything, so that one ingestion is one atomic step over all of the metadata, with one log
//! position. Fjall's journal is never written: the commit log is the write-ahead log.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use backend_api::{Error, Reason, Result};
use bytes::Bytes;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};

use super::{MetaKv, MetaSnapshot, Pairs};

/// Fjall behind the contract.
pub struct FjallKv {
    database: Database,
    keyspace: Keyspace,
}

struct FjallSnapshot {
    snapshot: Snapshot,
    keyspace: Keyspace,
}

fn failed(what: &str, error: &fjall::Error) -> Error {
    let reason = match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Reason::StorageFull,
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => Reason::DataCorrupt,
            _ => Reason::ReadFailed,
        },
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
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .worker_threads(2)
            .max_journaling_size(64 << 20)
            .open()
            .map_err(|e| failed("open", &e))?;
        let keyspace = database.keyspace("meta", options).map_err(|e| failed("open", &e))?;
        Ok(Self { database, keyspace })
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
        let mut ingestion = self.keyspace.start_ingestion().map_err(|e| failed("ingest", &e))?;
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
        Arc::new(FjallSnapshot { snapshot: self.database.snapshot(), keyspace: self.keyspace.clone() })
    }

    fn disk_bytes(&self) -> u64 {
        self.keyspace.disk_space()
    }
}

impl MetaSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.snapshot.get(&self.keyspace, key).map_err(|e| failed("get", &e))?;
        Ok(value.map(Into::into))
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Pairs<'_> {
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (from, to);
        let iter = self.snapshot.range::<&[u8], _>(&self.keyspace, range);
        let pair = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|e| failed("range", &e))?;
            Ok((key.into(), value.into()))
        };
        if reverse { Box::new(iter.rev().map(pair)) } else { Box::new(iter.map(pair)) }
    }
}
