//! Where the store has its time from: the one room of this crate that looks at a clock.
#![allow(clippy::disallowed_methods, reason = "this room gives out the time")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use backend_api::Micros;

/// A source of time. It may go back, as clocks do; the store stands still then.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Micros;

    /// True of a clock that goes by the world's time, as a server's does.
    fn is_of_the_world(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        // A clock before 1970 is as good as none.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn is_of_the_world(&self) -> bool {
        true
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
