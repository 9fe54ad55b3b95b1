//! *The sequence is contiguous, never reused, and its frames never change* (P3), as those who follow it see it.
//!
//! Why: numbers are given by the one committer, in order, to mutations of a cycle that is planned as a whole; events
//! become visible after the sync of their cycle, so none that was seen can be lost with it. After a crash the missing
//! ones are made again from the intents, by the same function from the same stamp.

use std::collections::BTreeMap;

use backend_api::{EventFrame, EventWindow};
use bytes::Bytes;

use super::{Held, Violation};

/// Every frame that anybody ever saw.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<u64, Bytes>);

fn violation(what: String) -> Violation {
    Violation::new("sequence", what)
}

impl Ledger {
    /// Somebody who stood at `after` was given these.
    ///
    /// # Errors
    /// If one is skipped, or is not what was seen under its number before.
    pub fn saw(&mut self, after: u64, events: &[EventFrame]) -> Held {
        for (expected, event) in (after + 1..).zip(events) {
            let seq = event.seq.get();
            if seq != expected {
                return Err(violation(format!("event {seq} came where {expected} was due")));
            }
            match self.0.get(&seq) {
                Some(seen) if *seen != event.frame => {
                    return Err(violation(format!("event {seq} is not what it was")));
                }
                Some(_) => {}
                None => drop(self.0.insert(seq, event.frame.clone())),
            }
        }
        Ok(())
    }

    /// What the store holds after an open.
    ///
    /// # Errors
    /// If it ends before what was seen.
    pub fn reaches(&self, window: EventWindow) -> Held {
        let newest = self.0.keys().next_back().copied().unwrap_or(0);
        if window.head.get() >= newest {
            return Ok(());
        }
        Err(violation(format!("event {newest} was seen, and the store now ends at {}", window.head)))
    }

    /// How many were seen.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.0.len()
    }
}
