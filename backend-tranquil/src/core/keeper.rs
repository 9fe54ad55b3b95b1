//! What makes the next drain and the next open cheaper, and damage good: syncs of the event log, copies of the metadata, hint
//! files, parity sidecars. Nothing here is ever waited for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend_api::{Reason, Result};

use super::shared::{Counters, Shared};
use crate::log::{frame_piece, remove_hints, write_hint};
use crate::meta::{cover_snapshot, mark_of_snapshot, newest_snapshot, remove_old_snapshots, write_snapshot};
use crate::parity::{Cover, Extent};

/// Copies of the metadata that are kept.
const SNAPSHOTS_KEPT: usize = 2;
/// The log grows by so many times a copy's size before the next one is written, so that copies cost little beside it.
const SNAPSHOT_LOG_FACTOR: u64 = 8;

/// The one that syncs events, and keeps copies, hints and sidecars.
pub struct Keeper {
    shared: Arc<Shared>,
    directory: PathBuf,
    snapshot_bytes: u64,
    log_bytes_at_snapshot: u64,
    /// The newest log file that was sealed when it was last looked at.
    sealed: u32,
    /// A rebuild reads the log from this file on: the newest copy ends in it.
    rebuilt_from: u32,
    /// The log files of which there are hints: from the first one, up to the second.
    hinted: (u32, u32),
    /// The log file that is covered next, and the frame from which on.
    covered: (u32, u64),
    /// Drains that were, when it was last looked.
    drains: u64,
    /// The newest log file that is damaged.
    rotten: u32,
    /// The segments from this event on are covered next.
    segments: u64,
    begun: bool,
}

impl Keeper {
    pub const fn new(shared: Arc<Shared>, directory: PathBuf) -> Self {
        Self {
            shared,
            directory,
            snapshot_bytes: 0,
            log_bytes_at_snapshot: 0,
            sealed: 0,
            rebuilt_from: 0,
            hinted: (0, 0),
            covered: (0, 0),
            drains: 0,
            rotten: 0,
            segments: 0,
            begun: false,
        }
    }

    /// Does what is due after a drain, or when the log has grown by a region. Nothing on a full disk: all of it can be done
    /// later, and takes space.
    pub fn step(&mut self) -> Result<()> {
        if self.shared.space.is_full() {
            return Ok(());
        }
        self.sync_events();
        // What is written to is covered to its end now and then only: each entry takes a whole region to make.
        let drains = self.shared.counters.drains.load(Ordering::Relaxed);
        let drained = std::mem::replace(&mut self.drains, drains) != drains;
        let extent = if drained || !self.begun { Extent::All } else { Extent::WholeRegions };
        let (sealed, events) = (self.logs(extent), self.cover_segments(extent));
        if !self.begun {
            self.begun = true;
            self.rebuilt_from = self.newest_mark()?;
            self.cover_snapshots()?;
            // All that are there are sound: those that a power cut brought back, or an error kept, take space for nothing.
            remove_old_snapshots(&*self.shared.env.disk, &self.directory, SNAPSHOTS_KEPT)?;
        }
        let log_bytes = self.shared.counters.log_bytes.load(Ordering::Relaxed);
        let grown = log_bytes - self.log_bytes_at_snapshot;
        let due = self.shared.options.snapshot_log_bytes_min.max(self.snapshot_bytes * SNAPSHOT_LOG_FACTOR);
        if grown >= due && self.snapshot()? {
            self.log_bytes_at_snapshot = log_bytes;
        }
        self.hints()?;
        sealed.and(events)
    }

    /// A drain would sync all that was appended since the one before it at once; and while the file system puts that in
    /// order, the sync of a cycle waits.
    fn sync_events(&self) {
        if let Err(e) = self.shared.events.sync()
            && e.reason() == Reason::SyncFailed
        {
            self.shared.stop(e.detail());
        }
    }

    /// Writes a copy of what is drained, unless there is one of that position. True if there was none.
    fn snapshot(&mut self) -> Result<bool> {
        let state = Arc::clone(&self.shared.tables().store);
        let mark = super::metadata::mark_of(&*state)?;
        let pos = mark.pos;
        let disk = &*self.shared.env.disk;
        // Nothing is drained yet at position 0: there is nothing to copy.
        if newest_snapshot(disk, &self.directory)?.first().map_or(0, |(newest, _)| *newest) >= pos {
            return Ok(false);
        }
        self.snapshot_bytes = write_snapshot(disk, &self.directory, self.shared.store, pos, &*state)?;
        remove_old_snapshots(disk, &self.directory, SNAPSHOTS_KEPT)?;
        Counters::add(&self.shared.counters.snapshots, 1);
        self.rebuilt_from = mark.file;
        self.cover_snapshots()?;
        Ok(true)
    }

    fn cover_snapshots(&self) -> Result<()> {
        let disk = &*self.shared.env.disk;
        for (pos, _) in newest_snapshot(disk, &self.directory)? {
            cover_snapshot(disk, &self.directory, self.shared.store, pos)?;
        }
        Ok(())
    }

    fn cover_segments(&mut self, extent: Extent) -> Result<()> {
        self.segments = self.shared.events.cover(self.segments, extent)?;
        Ok(())
    }

    /// The log file in which the newest sound copy ends; 0 if there is none.
    fn newest_mark(&self) -> Result<u32> {
        let disk = &*self.shared.env.disk;
        let copies = newest_snapshot(disk, &self.directory)?;
        let mut marks = copies.iter().map(|(_, path)| mark_of_snapshot(disk, path, self.shared.store));
        Ok(marks.find_map(Result::ok).map_or(0, |mark| mark.file))
    }

    /// Writes the hint files that a rebuild would read, and removes those that it would not: they are a fifth of the log. The
    /// newest sealed file has none: mostly a copy is due before the next one is sealed.
    fn hints(&mut self) -> Result<()> {
        let sealed = self.shared.tables().mark.file.saturating_sub(1);
        let (log, files) = (&self.shared.log, (self.rebuilt_from, sealed));
        if self.hinted != files {
            remove_hints(log, files.0)?;
            for number in log.numbers()?.into_iter().filter(|n| (files.0..files.1).contains(n)) {
                match write_hint(log, number) {
                    // Told where it was to be covered. A rebuild reads the file itself.
                    Err(e) if e.reason() == Reason::DataCorrupt => tracing::debug!(error = %e, "no hints"),
                    written => written?,
                }
            }
            self.hinted = files;
        }
        Ok(())
    }

    /// Brings the sidecars of log files up to what is durable.
    fn logs(&mut self, extent: Extent) -> Result<()> {
        let mark = self.shared.tables().mark;
        if self.sealed + 1 < mark.file {
            let from = self.sealed;
            let sealed = self.shared.log.numbers()?.into_iter().filter(|n| *n > from && *n < mark.file);
            for number in sealed {
                let path = self.shared.log.path(number);
                let len = self.shared.log.get(number)?.len().map_err(|e| crate::io::failed("open", &path, &e))?;
                self.cover_log(number, len, Extent::All)?;
                self.sealed = number;
            }
        }
        self.cover_log(mark.file, mark.offset, extent)
    }

    /// Brings the sidecar of a log file up to the end of a cycle.
    fn cover_log(&mut self, number: u32, end: u64, extent: Extent) -> Result<()> {
        if self.rotten == number {
            return Ok(());
        }
        let log = &self.shared.log;
        let (path, header) = (log.path(number), log.header(number)?);
        let cover = Cover::new(log.disk(), &path, &header, end, extent);
        if cover.is_done() {
            return Ok(());
        }
        let from = cover.from(if self.covered.0 == number { self.covered.1 } else { 0 });
        match cover.bring(&*log.get(number)?, from, &mut frame_piece) {
            Err(e) if e.reason() == Reason::DataCorrupt => {
                // Also what is written behind it: a sidecar covers a file from its start.
                self.rotten = number;
                tracing::error!(error = %e, "damage in the log; `verify --repair` heals what can be healed");
            }
            covered => self.covered = (number, covered?.0),
        }
        Ok(())
    }
}
