//! Draining frozen memtables into the key-value store.

use std::sync::Arc;

use backend_api::Result;

use super::shared::{Counters, Shared};
use crate::format::value::Mark;
use crate::meta::run_of;

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
}
