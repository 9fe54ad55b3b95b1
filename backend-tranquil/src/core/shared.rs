//! What committer, checkpointer and readers share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockWriteGuard};

use backend_api::{Cid, Error, Micros, Reason, Result};
use bytes::Bytes;
use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::space::Space;
use super::tables_guard::TablesGuard;
use crate::events::EventLog;
use crate::format::StoreId;
use crate::format::value::{Mark, Place};
use crate::io::Env;
use crate::log::{LogFiles, Position};
use crate::meta::{Layers, Memtable, MetaKv, MetaSnapshot};
use crate::options::Options;

/// A longer block is read by a thread that may take its time.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// State of an open store.
pub struct Shared {
    pub env: Env,
    pub options: Options,
    pub store: StoreId,
    pub log: Arc<LogFiles>,
    pub kv: Arc<dyn MetaKv>,
    pub events: EventLog,
    pub space: Space,
    pub hot: Cache<Cid, Bytes, BlockWeight, RandomState>,
    pub counters: Counters,
    /// Where in the log mutations after a position begin; sparse.
    pub feed: Mutex<BTreeMap<u64, Position>>,
    /// What the open healed, for whoever asks for repair.
    pub healed: Mutex<Vec<String>>,
    tables: RwLock<Tables>,
    stopped: OnceLock<String>,
}

/// The metadata in its layers.
pub struct Tables {
    /// What was committed since the last freeze.
    pub active: Memtable,
    /// What is being drained.
    pub frozen: Option<Arc<Frozen>>,
    /// What is drained.
    pub store: Arc<dyn MetaSnapshot>,
    /// The newest committed cycle and what it ends with.
    pub mark: Mark,
}

/// A memtable that no longer changes, and the state of the log that it brings the store to.
pub struct Frozen {
    pub table: Memtable,
    pub mark: Mark,
    /// The store was told to take it in: whatever it said, it may have done so.
    pub tried: AtomicBool,
}

/// Blocks weigh their allocation.
#[derive(Clone)]
pub struct BlockWeight;

impl Weighter<Cid, Bytes> for BlockWeight {
    fn weight(&self, _: &Cid, block: &Bytes) -> u64 {
        block.len() as u64 + 128
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened since the store was opened.
        #[derive(Default)]
        pub struct Counters { $($(#[$doc])* pub $name: AtomicU64,)* }

        impl Counters {
            /// All of them by name.
            pub fn list(&self) -> Vec<(String, u64)> {
                vec![$((stringify!($name).to_owned(), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Cycles committed.
    cycles,
    /// Syncs on the way to an acknowledgement.
    syncs,
    /// Mutations taken.
    mutations,
    /// Mutations refused.
    refusals,
    /// Bytes appended to the commit log.
    log_bytes,
    /// The slowest cycle, from its first mutation to its acknowledgement.
    cycle_us_max,
    /// Cycles that waited for a drain.
    stalls,
    /// Log files begun.
    rotations,
    /// Memtables drained.
    drains,
    /// Times that the metadata store was opened again.
    reopened,
    /// The slowest drain.
    drain_us_max,
    /// Copies of the metadata written.
    snapshots,
    /// Mutations replayed at open.
    replayed,
    /// 1 if the metadata store was rebuilt at open.
    rebuilt,
    /// Bytes of a torn tail cut off at open.
    torn_bytes,
    /// Bytes that were damaged and were healed, at open or by repair.
    healed_bytes,
    /// Damaged blocks that were served from parity.
    mended_reads,
    /// Blocks read from memory.
    hot_hits,
    /// Blocks read from files.
    block_reads,
}

impl Counters {
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub fn max(counter: &AtomicU64, n: u64) {
        counter.fetch_max(n, Ordering::Relaxed);
    }
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "called once, by open")]
    pub fn new(
        env: Env,
        options: Options,
        store: StoreId,
        log: Arc<LogFiles>,
        kv: Arc<dyn MetaKv>,
        events: EventLog,
        mark: Mark,
        counters: Counters,
    ) -> Self {
        let blocks = usize::try_from(options.hot_bytes / 1_024).unwrap_or(usize::MAX).max(16);
        let hot =
            Cache::with(blocks, options.hot_bytes, BlockWeight, RandomState::default(), DefaultLifecycle::default());
        let space = Space::new(&env, &options);
        let tables =
            Tables { active: Memtable::of_many(options.memtable_bytes_max), frozen: None, store: kv.snapshot(), mark };
        Self {
            env,
            options,
            store,
            log,
            kv,
            events,
            space,
            hot,
            counters,
            feed: Mutex::default(),
            healed: Mutex::default(),
            tables: RwLock::new(tables),
            stopped: OnceLock::new(),
        }
    }

    /// Nobody who has it asks for it again: a second one waits behind a writer that waits for the first.
    pub fn tables(&self) -> TablesGuard<'_> {
        TablesGuard::of(&self.tables)
    }

    pub fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().expect("no panic under this lock")
    }

    /// The time that reads go by: the clock's, but never before what was committed last.
    pub fn now(&self) -> Micros {
        Micros(self.env.clock.now().0.max(self.tables().mark.at))
    }

    /// Stops writing for good, with the first cause. Reads go on.
    pub fn stop(&self, cause: &str) {
        if self.stopped.set(cause.to_owned()).is_ok() {
            tracing::error!(cause, "the store stops accepting writes");
        }
    }

    pub fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// The answer to a write after the stop.
    pub fn closed(&self) -> Error {
        let cause = self.stopped().unwrap_or("it was closed");
        Error::new(Reason::Closed, format!("the store takes no writes: {cause}; reopen it"))
    }

    /// A block's bytes, if memory has them.
    pub fn hot_block(&self, cid: &Cid) -> Option<Bytes> {
        let block = self.hot.get(cid)?;
        Counters::add(&self.counters.hot_hits, 1);
        Some(block)
    }

    /// A block's bytes, if memory or the system has them, and they are few: a thread that may not wait copies and checks them.
    pub fn block_at_once(&self, place: Place, cid: &Cid) -> Option<Bytes> {
        if let Some(block) = self.hot_block(cid) {
            return Some(block);
        }
        if place.len as usize > AT_ONCE_BYTES_MAX {
            return None;
        }
        let block = self.log.block_at_once(place, cid)?;
        Counters::add(&self.counters.block_reads, 1);
        self.hot.insert(*cid, block.clone());
        Some(block)
    }

    /// A block's bytes by its place: from memory, or from its file.
    pub fn block(&self, place: Place, cid: &Cid) -> Result<Bytes> {
        if let Some(block) = self.hot_block(cid) {
            return Ok(block);
        }
        Counters::add(&self.counters.block_reads, 1);
        let block = self.stored_block(place, cid)?;
        self.hot.insert(*cid, block.clone());
        Ok(block)
    }

    /// A block's bytes from its file; if they are damaged there, from parity. The file stays as it is: that is for repair.
    pub fn stored_block(&self, place: Place, cid: &Cid) -> Result<Bytes> {
        let error = match self.log.block(place, cid) {
            Err(e) if e.reason() == Reason::DataCorrupt => e,
            other => return other,
        };
        let block = self.log.block_of_sidecar(place, cid).ok_or_else(|| error.clone())?;
        tracing::error!(%error, "a damaged block is served from parity; `verify --repair` heals the file");
        Counters::add(&self.counters.mended_reads, 1);
        Ok(block)
    }
}

impl Tables {
    /// Nothing may be frozen. What is active changes no more, and an empty table of so many bytes follows it.
    pub fn freeze(&mut self, bytes: usize) {
        let table = std::mem::replace(&mut self.active, Memtable::of_many(bytes));
        self.frozen = Some(Arc::new(Frozen { table, mark: self.mark, tried: AtomicBool::new(false) }));
    }

    /// The layers, with some tables on top, newest first.
    pub fn layers_over<'a>(&'a self, newer: impl IntoIterator<Item = &'a Memtable>) -> Layers<'a> {
        let mut tables = Vec::with_capacity(4);
        tables.extend(newer);
        tables.push(&self.active);
        tables.extend(self.frozen.as_deref().map(|f| &f.table));
        Layers { tables, store: &*self.store }
    }
}
