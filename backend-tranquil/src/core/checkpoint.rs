//! Draining frozen memtables into the key-value store, and copying the metadata aside.

use std::path::PathBuf;
use std::sync::Arc;

use backend_api::Result;

use super::shared::{Counters, Shared};
use crate::format::value::Mark;
use crate::meta::{newest_snapshot, remove_old_snapshots, run_of, write_snapshot};

/// Copies of the metadata that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// The log grows by so many times a copy's size before the next one is written, so that copies cost little beside it.
const SNAPSHOT_LOG_FACTOR: u64 = 8;

/// What a step of the checkpointer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// There was nothing frozen.
    Nothing,
    /// The store holds everything up to this mark.
    UpTo(Mark),
}

/// The one that drains.
pub struct Checkpointer {
    shared: Arc<Shared>,
    directory: PathBuf,
    snapshot_bytes: u64,
    log_bytes_at_snapshot: u64,
}

impl Checkpointer {
    pub const fn new(shared: Arc<Shared>, directory: PathBuf) -> Self {
        Self { shared, directory, snapshot_bytes: 0, log_bytes_at_snapshot: 0 }
    }

    /// Drains the frozen memtable, if there is one. After an error it is still frozen, and may be tried again.
    pub fn drain(&mut self) -> Result<Drained> {
        let (frozen, below) = {
            let tables = self.shared.tables();
            let Some(frozen) = tables.frozen.clone() else { return Ok(Drained::Nothing) };
            (frozen, Arc::clone(&tables.store))
        };
        let begun_ns = self.shared.env.clock.monotonic_ns();
        // Events first: what the mark covers is not re-created after a crash.
        self.shared.events.sync()?;
        let mut run = run_of(&frozen.table, &*below, &frozen.mark)?;
        self.shared.kv.ingest(&mut run)?;
        drop(run);
        let store = self.shared.kv.snapshot();
        {
            let mut tables = self.shared.tables_mut();
            tables.store = store;
            tables.frozen = None;
        }
        let us = (self.shared.env.clock.monotonic_ns() - begun_ns) / 1_000;
        Counters::max(&self.shared.counters.drain_us_max, us);
        Counters::add(&self.shared.counters.drains, 1);
        Ok(Drained::UpTo(frozen.mark))
    }

    /// Writes a copy of the metadata if the log has grown enough since the last one.
    pub fn snapshot_if_due(&mut self) -> Result<bool> {
        let log_bytes = self.shared.counters.log_bytes.load(std::sync::atomic::Ordering::Relaxed);
        let grown = log_bytes - self.log_bytes_at_snapshot;
        let due = self.shared.options.snapshot_log_bytes_min.max(self.snapshot_bytes * SNAPSHOT_LOG_FACTOR);
        if grown < due {
            return Ok(false);
        }
        self.log_bytes_at_snapshot = log_bytes;
        self.snapshot()?;
        Ok(true)
    }

    /// Writes a copy of what is drained, unless there is one of that position.
    pub fn snapshot(&mut self) -> Result<()> {
        let state = Arc::clone(&self.shared.tables().store);
        let pos = super::open::mark_of(&*state)?.pos;
        let disk = &*self.shared.env.disk;
        if newest_snapshot(disk, &self.directory)?.first().is_none_or(|(newest, _)| *newest < pos) {
            self.snapshot_bytes = write_snapshot(disk, &self.directory, self.shared.store, pos, &*state)?;
            remove_old_snapshots(disk, &self.directory, SNAPSHOTS_KEPT)?;
            Counters::add(&self.shared.counters.snapshots, 1);
        }
        Ok(())
    }
}
