//! Draining frozen memtables into the key-value store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend_api::{Error, Kind, Reason, Result};

use super::metadata::mark_of;
use super::shared::{Counters, Frozen, Shared};
use crate::format::value::Mark;
use crate::meta::{NoSnapshot, run_bytes, run_of};

/// What a run takes on disk beyond its pairs: filters, indexes, lists of tables.
const RUN_BYTES_MORE: u64 = 16 << 10;

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
}

impl Checkpointer {
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Drains the frozen memtable, if there is one, and finds out whether there is space again. After an error it is
    /// still frozen, and may be tried again.
    pub fn drain(&mut self) -> Result<Drained> {
        let space = &self.shared.space;
        let number = space.drain_begun();
        let drained = self.drain_frozen().inspect_err(|e| {
            if e.reason() == Reason::StorageFull {
                space.short(e);
            }
            // Whatever keeps it from its end now: nobody waits for it who may go on.
            if space.is_full() {
                space.drain_failed(number);
            }
        })?;
        if space.is_full() {
            match self.recover() {
                // It stays full and is tried again; but what was drained is drained, and somebody waits to hear that.
                Err(e) if e.kind() == Kind::Busy => tracing::debug!(error = %e, "the store stays full for now"),
                other => other?,
            }
        }
        space.drain_ended(number);
        Ok(drained)
    }

    fn drain_frozen(&self) -> Result<Drained> {
        let frozen = self.shared.tables().frozen.clone();
        let begun_ns = self.shared.env.clock.monotonic_ns();
        // Also with nothing to drain: what an error left lying about takes space.
        let space = &self.shared.space;
        space.spend(|| self.renew(space.is_full()))?;
        let Some(frozen) = frozen else { return Ok(Drained::Nothing) };
        if self.is_frozen(&frozen) {
            self.ingest(&frozen)?;
        }
        let us = (self.shared.env.clock.monotonic_ns() - begun_ns) / 1_000;
        Counters::max(&self.shared.counters.drain_us_max, us);
        Counters::add(&self.shared.counters.drains, 1);
        Ok(Drained::UpTo(frozen.mark))
    }

    fn is_frozen(&self, frozen: &Arc<Frozen>) -> bool {
        self.shared.tables().frozen.as_ref().is_some_and(|now| Arc::ptr_eq(now, frozen))
    }

    fn ingest(&self, frozen: &Arc<Frozen>) -> Result<()> {
        let space = &self.shared.space;
        // Events first: what the mark covers is not re-created after a crash.
        space.spend(|| self.shared.events.sync())?;
        // A run that finds no space half-way leaves what it wrote until the next open of the key-value store.
        space.spend(|| space.look_for(run_bytes(&frozen.table) + RUN_BYTES_MORE))?;
        // If that was the reserve, nothing else may take it.
        space.spend(|| self.renew(space.is_full()))?;
        // What an earlier error hid may have been found: then there is nothing left to do.
        if !self.is_frozen(frozen) {
            return Ok(());
        }
        if self.shared.stopped().is_some() {
            return Err(self.shared.closed());
        }
        let below = Arc::clone(&self.shared.tables().store);
        let mut run = run_of(&frozen.table, &*below, &frozen.mark)?;
        frozen.tried.store(true, Ordering::Release);
        self.shared.kv.ingest(&mut run)?;
        drop(run);
        let store = self.shared.kv.snapshot();
        let mut tables = self.shared.tables_mut();
        tables.store = store;
        tables.frozen = None;
        Ok(())
    }

    /// Opens the key-value store again if it needs that. Readers wait for it; if one has an older state, it is put off.
    fn renew(&self, sparing: bool) -> Result<()> {
        let kv = &self.shared.kv;
        if !kv.is_worn(sparing) {
            return Ok(());
        }
        self.shared.space.look_for_descriptor()?;
        let mut tables = self.shared.tables_mut();
        tables.store = Arc::new(NoSnapshot(Error::new(Reason::ReadFailed, "the metadata store is being opened again")));
        match kv.reopen(sparing) {
            Ok(done) => Counters::add(&self.shared.counters.reopened, u64::from(done)),
            Err(e) => {
                let detail = format!("the metadata store cannot be opened again now: {}", e.detail());
                tables.store = Arc::new(NoSnapshot(Error::new(Reason::ReadFailed, detail)));
                return Err(e);
            }
        }
        tables.store = kv.snapshot();
        // A run that was told to have failed may be there all the same. One that was frozen just now with nothing in it has
        // the same mark, and whoever waits for it is told when it is drained.
        let mark = mark_of(&*tables.store)?;
        let is_it = |frozen: &Arc<Frozen>| frozen.mark == mark && frozen.tried.load(Ordering::Acquire);
        if tables.frozen.as_ref().is_some_and(is_it) {
            tables.frozen = None;
        }
        Ok(())
    }

    /// Leaves the full state, if everything that waited has found its place and the reserve is whole.
    fn recover(&self) -> Result<()> {
        let waits = |result: Result<()>| match result {
            Err(e) if e.reason() == Reason::StorageFull => Ok(false),
            other => other.map(|()| true),
        };
        if waits(self.shared.events.flush())? && waits(self.shared.space.restore())? {
            // Its work in the background may begin again. If it cannot be opened now, it is tried again as on a full disk.
            self.renew(false)?;
            self.shared.space.found();
        }
        Ok(())
    }
}
