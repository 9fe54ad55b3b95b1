//! Events out of retention.

use std::sync::Arc;

use backend_api::{Result, SweepReport};

use super::Found;
use crate::core::Shared;
use crate::format::intent::Maintenance;
use crate::format::{key, value};

/// Moves the oldest kept event up, in the log first, so that no reopen shows again what was gone.
pub fn find(shared: &Arc<Shared>, _limit: usize) -> Result<Found> {
    let since = shared.env.clock.now().0.saturating_sub(shared.options.event_retention_us);
    let window = shared.events.window()?;
    let mut step = Maintenance::default();
    if window.head.get() > 0 {
        let oldest = shared.events.first_since(since)?;
        if oldest > window.oldest.get() {
            step.put.push((key::EVENTS_OLDEST.to_vec(), value::encode(&oldest)));
        }
    }
    Ok(Found { step, report: SweepReport::default(), more: false })
}

/// Removes segments that hold nothing kept. Returns how many events went out of sight.
pub fn drop_segments(shared: &Arc<Shared>) -> Result<u64> {
    let oldest: Option<u64> = shared.value(key::EVENTS_OLDEST, "oldest event")?;
    oldest.map_or(Ok(0), |oldest| shared.events.drop_before(oldest))
}
