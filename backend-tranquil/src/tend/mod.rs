//! Forgetting what is due: released history, swept generations, expired rows, old events.
//!
//! What is forgotten is worked out here, without holding up anyone, and carried out by the committer as exact and
//! conditional steps of the log. A part that meets damage stands still, and says so; the others go on.

mod expire;
mod release;
mod retain;
mod sweeps;

use std::sync::Arc;

use backend_api::{Reason, Result, SweepReport};
use tokio::sync::Mutex;

use crate::core::{Job, Shared};
use crate::format::intent::Maintenance;
use crate::format::key::Key;
use crate::runtime::{Pool, Runtime};

/// Entries of one maintenance step at the most, so that it holds up a cycle no longer than a commit does.
const STEP_ENTRIES: usize = 256;

/// One sweep at a time, and how far it has come.
#[derive(Default)]
pub struct Tender(Mutex<Progress>);

/// Where the next step begins to look: behind what was forgotten, which would be gone over again and again. A call begins
/// at the front, for something may have become due there, but for the sweep in which the call before it stopped.
#[derive(Clone, Default)]
pub struct Progress {
    /// In the sweeps.
    pub sweeps: sweeps::At,
    /// In the times of rows.
    pub expiry: Option<Key>,
}

/// What a part found to do: a step, what it counts for, whether there may be more, and where to go on once this is done.
pub struct Found {
    pub step: Maintenance,
    pub report: SweepReport,
    pub more: bool,
    pub progress: Progress,
}

impl Found {
    fn nothing(progress: &Progress) -> Self {
        let (step, report) = (Maintenance::default(), SweepReport::default());
        Self { step, report, more: false, progress: progress.clone() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Release,
    Sweeps,
    Expire,
    Retain,
}

impl Part {
    const ALL: [Self; 4] = [Self::Release, Self::Sweeps, Self::Expire, Self::Retain];

    const fn name(self) -> &'static str {
        match self {
            Self::Release => "the release of history",
            Self::Sweeps => "the sweep of what became invisible",
            Self::Expire => "the expiry of rows",
            Self::Retain => "the retention of events",
        }
    }

    fn find(self, shared: &Arc<Shared>, progress: &Progress, limit: usize) -> Result<Found> {
        match self {
            Self::Release => release::find(shared, progress, limit),
            Self::Sweeps => sweeps::find(shared, progress, limit),
            Self::Expire => expire::find(shared, progress, limit),
            Self::Retain => retain::find(shared, progress, limit),
        }
    }
}

/// One call of [`sweep`].
struct Run<'a> {
    shared: &'a Arc<Shared>,
    runtime: &'a Runtime,
    pool: &'a Pool,
    total: SweepReport,
    left: usize,
}

/// Works off up to `budget` entries of what is due.
pub async fn sweep(
    tender: &Tender,
    shared: &Arc<Shared>,
    runtime: &Runtime,
    pool: &Pool,
    budget: usize,
) -> Result<SweepReport> {
    let mut progress = tender.0.lock().await;
    (progress.sweeps.after, progress.expiry) = (None, None);
    let mut run = Run { shared, runtime, pool, total: SweepReport::default(), left: budget };
    for part in Part::ALL {
        match run.part(part, &mut progress).await {
            Ok(true) => {}
            Ok(false) => return Ok(run.total),
            // What is damaged stays damaged until somebody sees to it, and what needs space may wait for what another part
            // frees: everything else must not wait for that.
            Err(e) if matches!(e.reason(), Reason::DataCorrupt | Reason::ReadFailed | Reason::StorageFull) => {
                tracing::error!(error = %e, "{} stands still", part.name());
                run.total.held.push(format!("{} stands still: {e}", part.name()));
            }
            Err(e) => return Err(e),
        }
    }
    run.total.done = true;
    Ok(run.total)
}

impl Run<'_> {
    /// Works off one part. False if the budget is used up before it is.
    async fn part(&mut self, part: Part, progress: &mut Progress) -> Result<bool> {
        if part == Part::Sweeps && sweeps::are_undrained(self.shared)? {
            // Sweeps list what is drained: nothing is added any more to what they sweep.
            self.runtime.checkpoint().await?;
        }
        loop {
            // With nothing left one more is looked for: whether there is anything tells whether all is done.
            let limit = self.left.clamp(1, STEP_ENTRIES);
            let (shared, from) = (Arc::clone(self.shared), progress.clone());
            let mut found = self.pool.run(move || part.find(&shared, &from, limit)).await?;
            if found.step != Maintenance::default() {
                if self.left == 0 {
                    return Ok(false);
                }
                found.step.at = self.shared.now();
                self.runtime.submit(Job::Maintenance(found.step)).await?;
                self.count(&found.report);
            }
            *progress = found.progress;
            if part == Part::Retain {
                let shared = Arc::clone(self.shared);
                self.pool.run(move || retain::drop_segments(&shared)).await?;
            }
            if !found.more {
                return Ok(true);
            }
        }
    }

    fn count(&mut self, report: &SweepReport) {
        self.total.blocks += report.blocks;
        self.total.entries += report.entries;
        self.total.rows += report.rows;
        self.total.events += report.events;
        let done = report.blocks + report.entries + report.rows + report.events;
        self.left = self.left.saturating_sub(usize::try_from(done).unwrap_or(usize::MAX));
    }
}
