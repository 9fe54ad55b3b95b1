//! Forgetting what is due: released history, swept generations, expired rows, old events.
//!
//! What is forgotten is worked out here, without holding up anyone, and carried out by the committer as exact and
//! conditional steps of the log.

mod expire;
mod release;
mod retain;
mod sweeps;

use std::sync::Arc;

use backend_api::{Result, SweepReport};
use tokio::sync::Mutex;

use crate::core::{Job, Shared};
use crate::format::intent::Maintenance;
use crate::runtime::{Pool, Runtime};

/// Entries of one maintenance step at the most, so that it holds up a cycle no longer than a commit does.
const STEP_ENTRIES: usize = 256;

/// One sweep at a time.
#[derive(Default)]
pub struct Tender(Mutex<()>);

/// What a part found to do: a step, what it counts for, and whether there may be more.
pub struct Found {
    pub step: Maintenance,
    pub report: SweepReport,
    pub more: bool,
}

/// Works off up to `budget` entries of what is due.
pub async fn sweep(
    tender: &Tender,
    shared: &Arc<Shared>,
    runtime: &Runtime,
    pool: &Pool,
    budget: usize,
) -> Result<SweepReport> {
    let _one = tender.0.lock().await;
    let mut total = SweepReport { done: true, ..SweepReport::default() };
    let mut left = budget;
    type Part = fn(&Arc<Shared>, usize) -> Result<Found>;
    let parts: [Part; 4] = [release::find, sweeps::find, expire::find, retain::find];
    for (i, part) in parts.into_iter().enumerate() {
        if i == 1 && sweeps::are_due(shared)? {
            // Sweeps list what is drained: nothing is added any more to what they sweep.
            runtime.checkpoint().await?;
        }
        loop {
            if left == 0 {
                // Whether something is left is found out by looking for one more.
                let state = Arc::clone(shared);
                let one = pool.run(move || part(&state, 1)).await?;
                if one.step == Maintenance::default() && !one.more {
                    break;
                }
                total.done = false;
                return Ok(total);
            }
            let limit = left.min(STEP_ENTRIES);
            let state = Arc::clone(shared);
            let mut found = pool.run(move || part(&state, limit)).await?;
            let report = found.report;
            if found.step != Maintenance::default() {
                found.step.at = shared.now();
                runtime.submit(Job::Maintenance(found.step)).await?;
            }
            if i == 3 {
                let state = Arc::clone(shared);
                pool.run(move || retain::drop_segments(&state)).await?;
            }
            total.blocks += report.blocks;
            total.entries += report.entries;
            total.rows += report.rows;
            total.events += report.events;
            left = left.saturating_sub((report.blocks + report.entries + report.rows + report.events) as usize);
            if !found.more {
                break;
            }
            if i == 1 {
                runtime.checkpoint().await?;
            }
        }
    }
    Ok(total)
}
