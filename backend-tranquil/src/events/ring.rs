//! The newest events in memory, for those who follow live.

use std::collections::VecDeque;

use backend_api::EventFrame;

/// A bounded queue of consecutive events.
pub struct Ring {
    events: VecDeque<EventFrame>,
    bytes: usize,
    bytes_max: usize,
}

impl Ring {
    pub const fn new(bytes_max: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds an event. Those up to `written` may go when there are too many.
    pub fn push(&mut self, event: EventFrame, written: u64) {
        self.bytes += event.frame.len();
        self.events.push_back(event);
        self.trim(written);
    }

    /// Lets go of the oldest events, up to `written`, until the bound is kept.
    pub fn trim(&mut self, written: u64) {
        while self.bytes > self.bytes_max
            && self.events.len() > 1
            && self.events.front().is_some_and(|e| e.seq.get() <= written)
        {
            self.bytes -= self.events.pop_front().map_or(0, |e| e.frame.len());
        }
    }

    /// Events after a number, if the ring has the first of them.
    pub fn after(&self, after: u64, limit: usize, bytes_max: usize) -> Option<Vec<EventFrame>> {
        let first = self.events.front()?.seq.get();
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        let mut out = Vec::new();
        let mut bytes = 0;
        for event in self.events.iter().skip(skip).take(limit) {
            bytes += event.frame.len();
            if bytes > bytes_max && !out.is_empty() {
                break;
            }
            out.push(event.clone());
        }
        Some(out)
    }

    /// Bytes of the events after a number.
    pub fn bytes_after(&self, after: u64) -> usize {
        self.events.iter().rev().take_while(|e| e.seq.get() > after).map(|e| e.frame.len()).sum()
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}
