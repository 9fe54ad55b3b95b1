//! Events out of retention.

use std::sync::Arc;

use backend_api::Result;

use super::{Found, Progress};
use crate::core::Shared;
use crate::format::{key, value};

/// Moves the oldest kept event up, in the log first, so that no reopen shows again what was gone.
pub fn find(shared: &Arc<Shared>, progress: &Progress, limit: usize) -> Result<Found> {
    let since = shared.now().0.saturating_sub(shared.options.event_retention_us);
    let window = shared.events.window()?;
    let mut found = Found::nothing(progress);
    if window.head.get() == 0 {
        return Ok(found);
    }
    // How old events are, their segments tell.
    shared.flush_events()?;
    let due = shared.events.first_since(since)?;
    let oldest = due.min(window.oldest.get().saturating_add(limit as u64));
    if oldest > window.oldest.get() {
        found.step.put.push((key::EVENTS_OLDEST.to_vec(), value::encode(&oldest)));
        found.report.events = oldest - window.oldest.get();
        found.more = oldest < due;
    }
    Ok(found)
}

/// Puts out of sight what the log says is gone, and removes segments that hold nothing kept.
pub fn drop_segments(shared: &Arc<Shared>) -> Result<()> {
    let oldest: Option<u64> = shared.value(key::EVENTS_OLDEST, "oldest event")?;
    oldest.map_or(Ok(()), |oldest| shared.events.drop_before(oldest))
}
