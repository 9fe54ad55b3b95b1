//! A store in a temporary directory, for all tests.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend_api::{Backend, Maintenance, Micros};
use backend_tranquil::Tranquil;
use backend_tranquil::io::{Clock, Env};
use conformance::{Clock as _, Fixture, ManualClock, Options};

pub mod disk;
pub mod dying;
pub mod story;
pub mod town;

pub const OPTIONS: Options =
    Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

pub struct TestClock(pub Arc<ManualClock>);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        self.0.now()
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

pub struct TranquilFixture {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Mutex<Option<Arc<Tranquil>>>,
    /// Small enough that files, segments and memtables come to their end within a case.
    small: bool,
}

impl TranquilFixture {
    pub fn new(small: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, clock: Arc::default(), store: Mutex::default(), small }
    }

    pub fn open_store(&self) -> Arc<Tranquil> {
        let mut options = backend_tranquil::Options::new(self.directory.path().join("store"));
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
        *self.store.lock().unwrap() = Some(Arc::clone(&store));
        store
    }
}

#[async_trait]
impl Fixture for TranquilFixture {
    fn options(&self) -> Options {
        OPTIONS
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        self.open_store()
    }

    async fn reopen(&self, _: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let store = self.store.lock().unwrap().take();
        if let Some(store) = store {
            store.close().await.expect("the store closes");
        }
        self.open_store()
    }
}
