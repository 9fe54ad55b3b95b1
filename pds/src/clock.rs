//! What time it is for this host: the machine's clock, but never before the newest commit of the store.
//!
//! Engines judge what has expired so (a commit's time never goes back), and what the host gives out must not have expired
//! by then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backend_api::Micros;

use crate::env;

/// What the machine's clock may be behind the store before somebody is told.
const BEHIND_US: u64 = 3_600_000_000;

/// The host's clock.
#[derive(Debug, Default)]
pub struct HostClock {
    newest: AtomicU64,
    told: AtomicBool,
}

impl HostClock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Micros {
        env::now().max(Micros(self.newest.load(Ordering::Relaxed)))
    }

    /// The same in seconds, as tokens have it.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.now().0 / 1_000_000
    }

    /// The store took something at a time.
    pub fn heard(&self, at: Micros) {
        self.newest.fetch_max(at.0, Ordering::Relaxed);
        let behind_us = at.0.saturating_sub(env::now().0);
        if behind_us > BEHIND_US && !self.told.swap(true, Ordering::Relaxed) {
            let hours = behind_us / BEHIND_US;
            tracing::error!(
                hours,
                "the clock is behind the store's newest commit; until it has caught up, time stands still for whatever \
                 expires. If the clock is wrong now, set it; if it was wrong then, see `A clock that jumped` in \
                 docs/operate.md"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_where_the_store_is_ahead_and_says_so_once() {
        let clock = HostClock::default();
        let ahead = Micros(env::now().0 + BEHIND_US / 2);
        clock.heard(ahead);
        clock.heard(Micros(1));
        assert_eq!((clock.now(), clock.told.load(Ordering::Relaxed)), (ahead, false));
        let far = Micros(ahead.0 + BEHIND_US);
        clock.heard(far);
        assert_eq!((clock.now(), clock.told.load(Ordering::Relaxed)), (far, true));
        let before = env::now();
        assert!(HostClock::default().now() >= before);
    }
}
