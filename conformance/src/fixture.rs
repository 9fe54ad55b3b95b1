//! What a backend brings along to be tested.

use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{Backend, Micros};

/// How the store under test is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long the past of a repo is kept, in microseconds.
    pub history_window_micros: u64,
    /// How long an event is kept, in microseconds.
    pub event_retention_micros: u64,
}

/// A store to test: empty at first, with a clock that the suite sets.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// False if what the store needs is not there, a server for example. Whoever runs the tests has been told; cases are
    /// passed over then.
    fn is_available(&self) -> bool {
        true
    }

    /// How the store is set up. Any values that are not zero will do.
    fn options(&self) -> Options;

    /// Sets the store's clock, forward or back. Called before [`Fixture::open`] for the first time.
    fn set_time(&self, now: Micros);

    /// Opens the store. It is empty.
    async fn open(&self) -> Arc<dyn Backend>;

    /// Closes the store and opens it again: all that was acknowledged is there. Somebody may still hold on to `backend`.
    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend>;
}
