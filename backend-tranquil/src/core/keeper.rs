//! What makes the next open cheaper: copies of the metadata, and hint files. Nothing here is ever waited for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend_api::Result;

use super::shared::{Counters, Shared};
use crate::log::write_hint;
use crate::meta::{newest_snapshot, remove_old_snapshots, write_snapshot};

/// Copies of the metadata that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// The log grows by so many times a copy's size before the next one is written, so that copies cost little beside it.
const SNAPSHOT_LOG_FACTOR: u64 = 8;

/// The one that keeps copies and hints.
pub struct Keeper {
    shared: Arc<Shared>,
    directory: PathBuf,
    snapshot_bytes: u64,
    log_bytes_at_snapshot: u64,
    hinted: u32,
}

impl Keeper {
    pub const fn new(shared: Arc<Shared>, directory: PathBuf) -> Self {
        Self { shared, directory, snapshot_bytes: 0, log_bytes_at_snapshot: 0, hinted: 0 }
    }

    /// Does what is due after a drain. Nothing on a full disk: all of it can be done later, and takes space.
    pub fn step(&mut self) -> Result<()> {
        if self.shared.space.is_full() {
            return Ok(());
        }
        let hints = self.hints();
        let log_bytes = self.shared.counters.log_bytes.load(Ordering::Relaxed);
        let grown = log_bytes - self.log_bytes_at_snapshot;
        let due = self.shared.options.snapshot_log_bytes_min.max(self.snapshot_bytes * SNAPSHOT_LOG_FACTOR);
        if grown >= due {
            self.snapshot()?;
            self.log_bytes_at_snapshot = log_bytes;
        }
        hints
    }

    /// Writes a copy of what is drained, unless there is one of that position.
    fn snapshot(&mut self) -> Result<()> {
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

    /// Writes the hint files of sealed log files that have none.
    fn hints(&mut self) -> Result<()> {
        let (newest, hinted) = (self.shared.tables().mark.file, self.hinted);
        let sealed = self.shared.log.numbers()?.into_iter().filter(|n| *n > hinted && *n < newest);
        for number in sealed {
            write_hint(&self.shared.log, number)?;
            self.hinted = number;
        }
        Ok(())
    }
}
