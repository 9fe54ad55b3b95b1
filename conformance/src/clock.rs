//! Where a store under test has its time from.

use std::sync::atomic::{AtomicU64, Ordering};

use backend_api::Micros;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The time now. It may go back, as clocks do; a store stands still then.
    fn now(&self) -> Micros;
}

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Starts at a time.
    #[must_use]
    pub const fn new(now: Micros) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Sets the time, also back.
    pub fn set(&self, now: Micros) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}
