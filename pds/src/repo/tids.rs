//! Record keys that sort by time.

use std::sync::{Mutex, PoisonError};

use backend_api::Tid;

use crate::env;

/// Gives out TIDs, each greater than the one before, of one clock of this process.
pub struct TidClock(Mutex<Tid>);

impl Default for TidClock {
    fn default() -> Self {
        Self(Mutex::new(first()))
    }
}

impl TidClock {
    /// The next one.
    pub fn next(&self) -> Tid {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // None is left after the year 2545 only.
        *last = Tid::next_after(*last, env::now().0).unwrap_or(*last);
        *last
    }
}

/// The first TID of a new clock: now, with a random clock identifier.
pub fn first() -> Tid {
    Tid::new(env::now().0, u16::from_be_bytes(env::random()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_increase() {
        let clock = TidClock::default();
        let tids: Vec<Tid> = (0..10_000).map(|_| clock.next()).collect();
        assert!(tids.is_sorted_by(|a, b| a < b));
        assert!(tids.iter().all(|tid| tid.clock_id() == tids[0].clock_id()));
    }
}
