//! Rows whose time has come.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Micros, Result, SweepReport};

use super::Found;
use crate::core::Shared;
use crate::format::intent::Maintenance;
use crate::format::key::{self, Space};
use crate::meta::Scan;

/// Bytes of an expiry key before the row's name.
const ROW_AT: usize = 1 + 8;

/// The next rows that expired. The committer forgets each only if it still expires at that time.
pub fn find(shared: &Arc<Shared>, limit: usize) -> Result<Found> {
    let now = shared.now();
    let mut what = Scan::prefix(key::space(Space::RowExpiry), limit);
    // A row is there up to, but not at, its time.
    let mut end = key::space(Space::RowExpiry);
    end.extend_from_slice(&now.0.saturating_add(1).to_be_bytes());
    what.to = Bound::Excluded(end);
    let (found, more) = shared.scan(&what)?;
    let mut step = Maintenance::default();
    for (k, _) in &found {
        let at: Micros = key::read_expiry(k)?;
        step.expire.push((key::read_row(k, ROW_AT)?, at));
    }
    let report = SweepReport { rows: found.len() as u64, ..SweepReport::default() };
    Ok(Found { step, report, more })
}
