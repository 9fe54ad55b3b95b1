//! *The model agrees.* Every answer and every read is that of the model backend, which has the same mutations and no disk;
//! also right after recovery, so that of each mutation metadata, blocks and events are all there or none is (P2, P8).
//!
//! Why: both carry out what the same pure planner decides, on the same state, with the same numbers. What the engine adds
//! (layers, deltas of counts, files, replay) must not show. The state after recovery is the replay of a prefix of the log,
//! which is what the model has.

use std::fmt::Debug;

use backend_api::{Error, Receipt, Result};

use super::{Held, Violation};

/// Two answers to one mutation.
///
/// # Errors
/// If they are not the same receipt, or not the same reason.
pub fn answers(engine: &Result<Receipt>, model: &Result<Receipt>) -> Held {
    same("a mutation", engine, model)
}

/// Two answers, of errors the reasons.
///
/// # Errors
/// If they differ.
pub fn same<T: PartialEq + Debug>(what: &str, engine: &Result<T>, model: &Result<T>) -> Held {
    let (a, b) = (engine.as_ref().map_err(Error::reason), model.as_ref().map_err(Error::reason));
    if a == b {
        return Ok(());
    }
    Err(Violation::new("agrees", format!("{what} was answered\n  engine: {engine:?}\n  model:  {model:?}")))
}
