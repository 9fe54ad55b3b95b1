//! *An unknown outcome is one of the two.* A mutation without an answer happened as a whole or not at all, and a cycle did
//! so with all of its mutations.
//!
//! Why: a cycle counts by its end frame, which carries its extent, the number of its frames and a checksum over all of
//! them; replay takes whole cycles only. Cycles are written one after the other, so at most the newest is in doubt.

use backend_api::{Change, Kind, Mutation, Receipt};
use conformance::{ManualClock, Model};
use futures::FutureExt as _;

use super::{Held, Violation};

fn violation(what: String) -> Violation {
    Violation::new("unknown", what)
}

/// Takes what a store has beyond the model into the model. Gives for each change which of the mutations in doubt it is,
/// and its receipt.
///
/// # Errors
/// For a change that nobody sent, or sent in another order; if it `is_whole`, that is nothing but the planner refused
/// anything, for a mutation of the cycle that is left out.
pub fn resolve(
    model: &Model,
    clock: &ManualClock,
    changes: Vec<Change>,
    in_doubt: &[Mutation],
    is_whole: bool,
) -> Held<Vec<(usize, Receipt)>> {
    let mut happened = Vec::new();
    let mut next = 0;
    for change in changes {
        let Some(skipped) = in_doubt[next..].iter().position(|sent| *sent == change.mutation) else {
            return Err(violation(format!("the store has a mutation that nobody waits for: {change:?}")));
        };
        clock.set(change.stamp.at);
        // On a full or failing disk one may have been refused for that.
        for left_out in in_doubt[next..next + skipped].iter().filter(|_| is_whole) {
            let answer = backend_api::Writes::apply(model, left_out.clone()).now_or_never();
            let answer = answer.expect("the model never waits");
            if let Ok(receipt) = answer
                && receipt.pos >= change.stamp.pos
            {
                return Err(violation(format!("of a cycle this mutation is missing: {left_out:?}")));
            }
        }
        let stamp = change.stamp;
        match model.replay(change) {
            Ok(receipt) => happened.push((next + skipped, receipt)),
            Err(e) => return Err(violation(format!("the store took at {stamp:?} what the model refuses: {e}"))),
        }
        next += skipped + 1;
    }
    Ok(happened)
}

/// Errors that say that nothing was written must be true: such a mutation is none of those in doubt.
#[must_use]
pub const fn is_in_doubt(kind: Kind) -> bool {
    matches!(kind, Kind::OutcomeUnknown)
}
