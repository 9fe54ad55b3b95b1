//! Sweeping generations and incarnations that can no longer be reached, and purging history on demand.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{CommitRow, Micros, Pos, RepoId, Result, Sweep, SweepReport};

use super::Found;
use bytes::Bytes;

use crate::core::Shared;
use crate::format::intent::Maintenance;
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue};
use crate::meta::{MetaSnapshot, Scan};

/// Sweeps read at a time.
const SWEEPS_STEP: usize = 1_024;

/// The first two sweeps that are due: the one to work on, and whether there is another.
fn due(shared: &Shared) -> Result<Vec<Sweep>> {
    let limit = shared.now().0.saturating_sub(shared.options.history_window_us);
    let mut out = Vec::new();
    let mut after = None;
    loop {
        let (found, more) = shared.scan(&Scan::prefix(key::space(Space::Sweep), SWEEPS_STEP).after(after))?;
        after = found.last().map(|(key, _)| key.to_vec());
        for (k, v) in found {
            let sweep = key::read_sweep(&k)?;
            let since: Micros = value::decode(&v, "sweep")?;
            if since.0 <= limit || matches!(sweep, Sweep::Purge(..)) {
                out.push(sweep);
            }
            if out.len() == 2 {
                return Ok(out);
            }
        }
        if !more {
            return Ok(out);
        }
    }
}

/// True if there is anything to sweep.
pub fn are_due(shared: &Shared) -> Result<bool> {
    Ok(!due(shared)?.is_empty())
}

/// The next entries of the first sweep that is due. What was found before must be drained.
pub fn find(shared: &Arc<Shared>, limit: usize) -> Result<Found> {
    let mut found = Found { step: Maintenance::default(), report: SweepReport::default(), more: false };
    let due = due(shared)?;
    let Some(sweep) = due.first().copied() else { return Ok(found) };
    let store = Arc::clone(&shared.tables().store);
    let complete = match sweep {
        Sweep::Repo(repo) => {
            let spaces = [Space::Block, Space::Record, Space::Commit, Space::BlobUse, Space::Link, Space::Repo];
            all_of(&*store, &spaces, repo.0, limit, &mut found)?
        }
        Sweep::Blobs(account) => all_of(&*store, &[Space::Blob], account.0, limit, &mut found)?,
        Sweep::Purge(repo, pos) => purge(&*store, repo, pos, limit, &mut found)?,
    };
    // The sweep itself, after all that it stands for.
    let used = (found.report.blocks + found.report.entries) as usize;
    let ended = complete && used < limit;
    if ended {
        found.step.delete.push(key::sweep(sweep));
        found.report.entries += 1;
    }
    found.more = !ended || due.len() > 1;
    Ok(found)
}

/// Keys of a generation or incarnation; true if these are all.
fn all_of(store: &dyn MetaSnapshot, spaces: &[Space], id: u64, limit: usize, found: &mut Found) -> Result<bool> {
    for space in spaces {
        let prefix = key::numbered(*space, id);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        for pair in store.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
            if found.step.delete.len() == limit {
                return Ok(false);
            }
            found.step.delete.push(pair?.0.to_vec());
            let counter = if *space == Space::Block { &mut found.report.blocks } else { &mut found.report.entries };
            *counter += 1;
        }
    }
    Ok(true)
}

/// Blocks of a repo that nothing refers to, and its past commits, up to a position; true if these are all.
fn purge(store: &dyn MetaSnapshot, repo: RepoId, pos: Pos, limit: usize, found: &mut Found) -> Result<bool> {
    let commits = key::numbered(Space::Commit, repo.0);
    let end = key::after_prefix(&commits).unwrap_or_default();
    let mut before: Option<Bytes> = None;
    for pair in store.range(Bound::Included(&commits), Bound::Excluded(&end), false) {
        let (k, v) = pair?;
        let row: CommitRow = value::decode(&v, "commit")?;
        // A commit is past when the next one was made.
        if let Some(before) = before.replace(k).filter(|_| row.pos <= pos) {
            if found.step.delete.len() == limit {
                return Ok(false);
            }
            found.step.delete.push(before.to_vec());
            found.report.entries += 1;
        }
    }
    let blocks = key::numbered(Space::Block, repo.0);
    let end = key::after_prefix(&blocks).unwrap_or_default();
    for pair in store.range(Bound::Included(&blocks), Bound::Excluded(&end), false) {
        let (k, v) = pair?;
        let block: BlockValue = value::decode(&v, "block")?;
        if block.refs == 0 && block.released <= pos.0 {
            if found.step.delete.len() + found.step.release.len() == limit {
                return Ok(false);
            }
            let (repo, cid) = key::read_block(&k)?;
            found.step.release.push((repo, cid, block.released));
            found.report.blocks += 1;
        }
    }
    Ok(true)
}
