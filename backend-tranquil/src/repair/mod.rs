//! `verify --repair`: files from their sidecars, blocks from whatever else has their bytes.
//!
//! A block that is found is written again by the committer, as a maintenance step that replay repeats; the damaged frame
//! stays where it is, and nothing refers to it any more.

mod copies;
mod lost;

use std::sync::Arc;

use backend_api::{Block, Error, Reason, Result, VerifyLevel, VerifyReport};
use tokio::sync::OwnedMutexGuard;

use crate::core::{Job, Restored, Shared, Wanted, heal_sealed, rebuild_at_next_open};
use crate::runtime::{Pool, Runtime};
use crate::verify::verify;

/// Whose turn it is to check or to heal.
pub type Turn = OwnedMutexGuard<()>;

/// Bytes of blocks that are written again in one step, unless one alone is larger.
const STEP_BYTES: usize = 1 << 20;

/// Heals what can be healed, then checks all of the store. Who has the turn is alone in this, also with what goes on for a
/// moment after the caller has gone.
pub async fn repair(shared: &Arc<Shared>, runtime: &Runtime, pool: &Pool, turn: Arc<Turn>) -> Result<VerifyReport> {
    runtime.checkpoint().await?;
    let (of, held) = (Arc::clone(shared), Arc::clone(&turn));
    let mut files = pool
        .run_while_wanted(move |wanted| {
            let _held = held;
            heal_sealed(&of, wanted)
        })
        .await?;
    let at_open = std::mem::take(&mut *shared.healed.lock().expect("no panic under this lock"));
    files.healed.splice(0..0, at_open);
    let blocks = match blocks(shared, runtime, pool).await {
        Err(e) if is_of_metadata(&e) => return rebuild(shared, e, files.healed, files.lost),
        other => other?,
    };
    runtime.checkpoint().await?;
    let of = Arc::clone(shared);
    let check = move |wanted: Wanted<'_>| {
        let _held = turn;
        verify(&of, VerifyLevel::Repair, wanted)
    };
    let mut report = match pool.run_while_wanted(check).await {
        Err(e) if is_of_metadata(&e) => return rebuild(shared, e, files.healed, files.lost),
        other => other?,
    };
    report.healed = [files.healed, blocks].concat();
    report.problems = [files.lost, report.problems].concat();
    Ok(report)
}

/// Writes damaged blocks again whose bytes are somewhere else. Tells of each.
async fn blocks(shared: &Arc<Shared>, runtime: &Runtime, pool: &Pool) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let of = Arc::clone(shared);
    let found = pool.run_while_wanted(move |wanted| copies::of(&of, &lost::blocks(&of, wanted)?)).await?;
    let mut step = Vec::new();
    let mut bytes = 0;
    for (lost, copy) in found {
        told.push(format!("repo generation {}: block {} was written again, from {}", lost.repo, lost.cid, copy.from));
        bytes += copy.bytes.len();
        step.push(Restored { repo: lost.repo, block: Block::claimed(lost.cid, copy.bytes) });
        if bytes >= STEP_BYTES {
            runtime.submit(Job::Restore(std::mem::take(&mut step))).await?;
            bytes = 0;
        }
    }
    if !step.is_empty() {
        runtime.submit(Job::Restore(step)).await?;
    }
    Ok(told)
}

/// True if it is the metadata store that is damaged: all of it is derived from the log.
fn is_of_metadata(error: &Error) -> bool {
    error.reason() == Reason::DataCorrupt
}

fn rebuild(shared: &Shared, error: Error, mut healed: Vec<String>, problems: Vec<String>) -> Result<VerifyReport> {
    rebuild_at_next_open(shared)?;
    healed.push(format!("{error}: the metadata store is made again from the log by the next open of the store"));
    Ok(VerifyReport { healed, problems, ..VerifyReport::default() })
}
