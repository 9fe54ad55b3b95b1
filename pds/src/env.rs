//! The one place where this host asks for the time and for random bytes.

#![allow(clippy::disallowed_methods, reason = "the host's room of time and randomness")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend_api::{IdempotencyKey, Micros};

/// The machine's time.
#[must_use]
pub fn now() -> Micros {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// How long the machine runs, by a clock that nobody can set and that does not stop while it sleeps.
#[must_use]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Bytes that nobody can guess.
///
/// # Panics
/// If the operating system has no random numbers: nothing that this host makes would be safe then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A name for a mutation that no other has.
#[must_use]
pub fn idempotency_key() -> IdempotencyKey {
    IdempotencyKey(random())
}
