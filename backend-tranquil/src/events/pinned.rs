//! The events of one moment, for an export.

use std::sync::Arc;

use backend_api::{EventFrame, Result};

use super::segment::Segment;

/// The events of one moment.
pub struct Pinned {
    segments: Vec<Arc<Segment>>,
    /// The oldest of them.
    pub oldest: u64,
}

impl Pinned {
    pub const fn new(segments: Vec<Arc<Segment>>, oldest: u64) -> Self {
        Self { segments, oldest }
    }

    /// Events after a number, of one segment; none if there are no more.
    pub fn events(&self, after: u64, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let found = self.segments.partition_point(|s| s.base <= after + 1);
        match found.checked_sub(1) {
            Some(i) => self.segments[i].events(after, limit, bytes_max),
            None => Ok(Vec::new()),
        }
    }
}
