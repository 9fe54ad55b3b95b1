//! The embedded engine, in a temporary directory.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backend_api::{Backend, Maintenance as _, Micros};
use backend_tranquil::io::{Clock, Env};
use backend_tranquil::{Options, Tranquil};
use conformance::{Clock as _, Fixture, ManualClock};

use crate::OPTIONS;

struct TestClock(Arc<ManualClock>);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        self.0.now()
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

/// A store of the embedded engine.
pub struct TranquilFixture {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    open: Mutex<Option<Arc<Tranquil>>>,
    /// So small that files, segments and memtables come to their end every few mutations.
    small: bool,
}

impl TranquilFixture {
    /// A new one, not opened.
    pub fn new(small: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, clock: Arc::default(), open: Mutex::default(), small }
    }

    fn open_store(&self) -> Arc<Tranquil> {
        let mut options = Options::new(self.directory.path().join("store"));
        options.history_window_us = OPTIONS.history_window_micros;
        options.event_retention_us = OPTIONS.event_retention_micros;
        options.log_file_bytes = 1 << 20;
        options.cache_bytes = 4 << 20;
        options.reader_threads = 2;
        if self.small {
            options.log_file_bytes = 8 << 10;
            options.segment_bytes = 4 << 10;
            options.memtable_bytes_max = 4 << 10;
            options.ring_bytes = 1 << 10;
            options.hot_bytes = 1 << 10;
            options.snapshot_log_bytes_min = 16 << 10;
            options.map_sealed_segments = true;
        }
        let env = Env { clock: Arc::new(TestClock(Arc::clone(&self.clock))), ..Env::real() };
        let store = Tranquil::open_in(env, options).expect("the store opens");
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&store));
        store
    }
}

#[async_trait]
impl Fixture for TranquilFixture {
    fn options(&self) -> conformance::Options {
        OPTIONS
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        self.open_store()
    }

    async fn reopen(&self, _: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let store = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(store) = store {
            store.close().await.expect("the store closes");
        }
        self.open_store()
    }
}
