//! *A refused mutation left no trace.* No position, no number of an event, no row; and nobody is told "no" for what
//! happened.
//!
//! Why: a refusal comes from the planner before anything is appended, or from a cycle that was cut off and synced, or from
//! an engine that takes nothing any more. The model does not take what the engine refused, and positions are contiguous,
//! so a trace shows as a position, a number or a content that differs at the next answer or comparison. What is checked
//! here is that a refusal has a cause: without a fault, only the planner refuses; and that an engine that takes nothing any
//! more takes nothing.

use backend_api::{Error, Reason, Receipt, Result};

use super::{Held, Violation};

/// What a refusal that is not the planner's says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Infrastructure {
    /// It may have happened.
    Unknown,
    /// The engine takes nothing any more.
    Stopped,
    /// This one was not taken.
    Busy,
}

/// Tells whether an error comes from the machine and not from the planner.
#[must_use]
pub const fn infrastructure(reason: Reason) -> Option<Infrastructure> {
    match reason {
        Reason::SyncFailed => Some(Infrastructure::Unknown),
        Reason::Closed => Some(Infrastructure::Stopped),
        Reason::StorageFull | Reason::ReadFailed | Reason::Overloaded => Some(Infrastructure::Busy),
        _ => None,
    }
}

/// An engine that has said that it takes nothing any more, or that it does not know what became of something, takes
/// nothing that is sent after that: what it would build on may not be there.
///
/// # Errors
/// If it does.
pub fn stays_stopped(answer: &Result<Receipt>) -> Held {
    match answer {
        Ok(receipt) => {
            Err(Violation::new("refused", format!("the store had stopped, and took mutation {}", receipt.pos)))
        }
        Err(_) => Ok(()),
    }
}

/// Nothing fails by itself.
///
/// # Errors
/// If nothing went wrong on the machine since it was opened.
pub fn has_cause(error: &Error, troubled: bool) -> Held {
    if troubled || error.reason() == Reason::Overloaded {
        return Ok(());
    }
    Err(Violation::new("refused", format!("nothing went wrong on the machine, and the engine says {error}")))
}
