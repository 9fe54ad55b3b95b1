//! How long something really takes: for people, and for the bound of a long run. Nothing in a run depends on it.
#![allow(clippy::disallowed_methods, reason = "what is measured is the simulator itself")]

use std::time::{Duration, Instant};

/// A stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Watch(Instant);

impl Watch {
    /// Begins to run.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What has passed since.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
