//! *No hang.* Every call is answered after a bounded number of steps, and there is a step to take while one waits.
//!
//! Why: a waiter is answered by the cycle that has its mutation, by the drain that reaches its position, or by the stop of
//! the engine, which all waits look at. On a full disk a checkpoint waits for space: that is the one exception.

use super::{Held, Violation};
use crate::world::Stuck;

/// Turns that the parts take for one call at the most.
pub const TURNS_MAX: u64 = 20_000;

/// An answer, or why there is none.
///
/// # Errors
/// If there is none.
pub fn answered<T>(what: &str, answer: Result<T, Stuck>) -> Held<T> {
    answer.map_err(|Stuck| Violation::new("steps", format!("{what} is not answered within {TURNS_MAX} steps")))
}
