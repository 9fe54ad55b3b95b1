//! *The change feed has every mutation once, in order, for ever the same, and none that did not happen.*
//!
//! Why: it is read back from the log, up to the newest cycle that is durable. What is durable stays, so nothing that the
//! feed gave out can be gone after a crash, and nothing can come to stand between.

use std::collections::BTreeMap;

use backend_api::{Change, IdempotencyKey, Pos};

use super::{Held, Violation};

/// Every change that a consumer was given.
#[derive(Debug, Default)]
pub struct Feed(BTreeMap<u64, IdempotencyKey>);

fn violation(what: String) -> Violation {
    Violation::new("feed", what)
}

impl Feed {
    /// Where the consumer stands.
    #[must_use]
    pub fn position(&self) -> Pos {
        Pos(self.0.keys().next_back().copied().unwrap_or(0))
    }

    /// The consumer stood at `after` and was given these.
    ///
    /// # Errors
    /// If one is skipped, or is not what was seen in its place before.
    pub fn saw(&mut self, after: Pos, changes: &[Change]) -> Held {
        for (expected, change) in (after.0 + 1..).zip(changes) {
            let (pos, key) = (change.stamp.pos.0, change.mutation.key);
            if pos != expected {
                return Err(violation(format!("change {pos} came where {expected} was due")));
            }
            if self.0.insert(pos, key).is_some_and(|seen| seen != key) {
                return Err(violation(format!("change {pos} is not what it was")));
            }
        }
        Ok(())
    }

    /// What the store holds after an open.
    ///
    /// # Errors
    /// If it ends before what was seen.
    pub fn reaches(&self, position: Pos) -> Held {
        let newest = self.position();
        if position >= newest {
            return Ok(());
        }
        Err(violation(format!("change {newest} was given out, and the store now ends at {position}")))
    }
}
