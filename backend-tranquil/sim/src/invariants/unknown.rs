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

/// A mutation in doubt, and whether it waited with the large ones, which small ones pass.
pub type Doubtful = (Mutation, bool);

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
    in_doubt: &[Doubtful],
    is_whole: bool,
) -> Held<Vec<(usize, Receipt)>> {
    let mut happened = Vec::new();
    let mut is_past = vec![false; in_doubt.len()];
    for change in changes {
        let of_it = |(i, (sent, _)): (usize, &Doubtful)| !is_past[i] && *sent == change.mutation;
        let Some(found) = in_doubt.iter().enumerate().position(of_it) else {
            return Err(violation(format!("the store has a mutation that nobody waits for: {change:?}")));
        };
        clock.set(change.stamp.at);
        // Of those that waited in the same line, the ones before it are past.
        for before in (0..found).filter(|i| in_doubt[*i].1 == in_doubt[found].1) {
            if !std::mem::replace(&mut is_past[before], true) && is_whole {
                left_out(model, &in_doubt[before].0, &change)?;
            }
        }
        is_past[found] = true;
        let stamp = change.stamp;
        match model.replay(change) {
            Ok(receipt) => happened.push((found, receipt)),
            Err(e) => return Err(violation(format!("the store took at {stamp:?} what the model refuses: {e}"))),
        }
    }
    Ok(happened)
}

/// On a full or failing disk one may have been refused for that; else only the planner refuses.
fn left_out(model: &Model, mutation: &Mutation, change: &Change) -> Held {
    let answer = backend_api::Writes::apply(model, mutation.clone()).now_or_never();
    match answer.expect("the model never waits") {
        Ok(receipt) if receipt.pos >= change.stamp.pos => {
            Err(violation(format!("of a cycle this mutation is missing: {mutation:?}")))
        }
        _ => Ok(()),
    }
}

/// Errors that say that nothing was written must be true: such a mutation is none of those in doubt.
#[must_use]
pub const fn is_in_doubt(kind: Kind) -> bool {
    matches!(kind, Kind::OutcomeUnknown)
}
