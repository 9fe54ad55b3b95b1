//! Names that nobody used before.

use backend_api::IdempotencyKey;

/// An idempotency key for a mutation that is not repeated by anybody else: random.
///
/// # Panics
/// If the operating system has no random numbers, which is beyond repair.
#[must_use]
pub fn idempotency_key() -> IdempotencyKey {
    let mut key = [0; 16];
    getrandom::fill(&mut key).expect("the operating system gives random numbers");
    IdempotencyKey(key)
}
