//! *Acknowledged is durable.* Whatever was answered with a receipt is there after every crash (P1).
//!
//! Why: the committer answers after the sync of the cycle returned, and a disk that keeps its word loses nothing that was
//! synced. A sync that failed is followed by no answer, so its pages may be gone. What recovery cuts off stands behind the
//! last whole cycle, and so was never answered. Names count as well: a file that holds a cycle has a name that was synced
//! before the cycle was written.

use backend_api::Pos;

use super::{Held, Violation};

/// The position after an open against the newest one that was answered.
///
/// # Errors
/// If it is before it.
pub fn check(found: Pos, acknowledged: Pos) -> Held {
    if found >= acknowledged {
        return Ok(());
    }
    let what = format!("the store opens at position {found}, and {acknowledged} was acknowledged");
    Err(Violation::new("durable", what))
}
