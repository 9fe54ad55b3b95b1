//! Rows whose time has come.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Micros, Result};

use super::{Found, Progress};
use crate::core::Shared;
use crate::format::key::{self, Space};
use crate::meta::Scan;

/// Bytes of an expiry key before the row's name.
const ROW_AT: usize = 1 + 8;

/// The next rows that expired. The committer forgets each only if it still expires at that time.
pub fn find(shared: &Arc<Shared>, progress: &Progress, limit: usize) -> Result<Found> {
    let now = shared.now();
    let mut what = Scan::prefix(key::space(Space::RowExpiry), limit).after(progress.expiry.clone());
    // A row is there up to, but not at, its time.
    let mut end = key::space(Space::RowExpiry);
    end.extend_from_slice(&now.0.saturating_add(1).to_be_bytes());
    what.to = Bound::Excluded(end);
    let (pairs, more) = shared.scan(&what)?;
    let mut found = Found::nothing(progress);
    for (k, _) in &pairs {
        let at: Micros = key::read_expiry(k)?;
        found.step.expire.push((key::read_row(k, ROW_AT)?, at));
    }
    found.report.rows = pairs.len() as u64;
    found.more = more;
    found.progress.expiry = pairs.last().map(|(key, _)| key.to_vec()).or(found.progress.expiry);
    Ok(found)
}
