//! Sweeping generations and incarnations that can no longer be reached, and purging history on demand.
//!
//! Keys are listed from the drained store, once from left to right: nothing is added any more to what is swept, and the
//! store has all of it as soon as it has the row that says so. So a sweep needs no drain between its steps, and each step
//! begins where the one before it ended, not at a front of deleted keys.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{CommitRow, Micros, Pos, RepoId, Result, Sweep};

use super::{Found, Progress};
use crate::core::Shared;
use crate::format::key::{self, Key, Space};
use crate::format::value::{self, BlockValue};
use crate::meta::{MetaSnapshot, Scan};

/// Sweeps, or keys of a purge, that one step looks at.
const LOOKED_AT_MAX: usize = 1_024;

/// How far the sweeps have come.
#[derive(Clone, Default)]
pub struct At {
    /// The last row of a sweep that was looked at in this call.
    pub after: Option<Key>,
    /// The one that is worked on, and the last of its keys that was looked at.
    within: Option<(Sweep, Option<Key>)>,
}

/// Part of the keys of one sweep.
struct Piece<'a> {
    store: &'a dyn MetaSnapshot,
    limit: usize,
    found: &'a mut Found,
    looked_at: usize,
}

fn is_due(shared: &Shared, sweep: Sweep, since: Micros) -> bool {
    let limit = shared.now().0.saturating_sub(shared.options.history_window_us);
    since.0 <= limit || matches!(sweep, Sweep::Purge(..))
}

/// True if a sweep is due that the store does not have yet.
pub fn are_undrained(shared: &Shared) -> Result<bool> {
    let rows = shared.undrained(&key::space(Space::Sweep));
    for (k, v) in rows {
        if is_due(shared, key::read_sweep(&k)?, value::decode(&v, "sweep")?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The next entries of the sweep that is worked on, or of the next one that is due.
pub fn find(shared: &Arc<Shared>, progress: &Progress, limit: usize) -> Result<Found> {
    let mut found = Found::nothing(progress);
    let store = Arc::clone(&shared.tables().store);
    let within = match progress.sweeps.within.clone() {
        Some(within) => Some(within),
        None => next(shared, &*store, &mut found)?,
    };
    let Some((sweep, from)) = within else { return Ok(found) };
    found.more = true;
    let mut piece = Piece { store: &*store, limit, found: &mut found, looked_at: 0 };
    let stopped_at = match sweep {
        Sweep::Repo(repo) => {
            let spaces = [Space::Block, Space::Record, Space::Commit, Space::BlobUse, Space::Link, Space::Repo];
            piece.all_of(&spaces, repo.0, from.as_ref())?
        }
        Sweep::Blobs(account) => piece.all_of(&[Space::Blob], account.0, from.as_ref())?,
        Sweep::Purge(repo, pos) => piece.purge(repo, pos, from)?,
    };
    if stopped_at.is_some() {
        found.progress.sweeps.within = Some((sweep, stopped_at));
        return Ok(found);
    }
    // The sweep itself, after all that it stands for. A piece that is not full has room for it.
    found.progress.sweeps.within = None;
    found.step.delete.push(key::sweep(sweep));
    found.report.entries += 1;
    Ok(found)
}

/// The next sweep that is due and drained. Notes how far it looked.
fn next(shared: &Shared, store: &dyn MetaSnapshot, found: &mut Found) -> Result<Option<(Sweep, Option<Key>)>> {
    let at = &mut found.progress.sweeps;
    let what = Scan::prefix(key::space(Space::Sweep), LOOKED_AT_MAX).after(at.after.clone());
    let (rows, more) = shared.scan(&what)?;
    for (k, v) in rows {
        at.after = Some(k.to_vec());
        let sweep = key::read_sweep(&k)?;
        if is_due(shared, sweep, value::decode(&v, "sweep")?) && store.get(&k)?.is_some() {
            return Ok(Some((sweep, None)));
        }
    }
    found.more = more;
    Ok(None)
}

impl Piece<'_> {
    fn is_full(&self) -> bool {
        self.found.step.delete.len() + self.found.step.release.len() >= self.limit || self.looked_at == LOOKED_AT_MAX
    }

    /// Keys of a generation or incarnation. The last one, unless these are all.
    fn all_of(&mut self, spaces: &[Space], id: u64, from: Option<&Key>) -> Result<Option<Key>> {
        let first = from.and_then(|key| spaces.iter().position(|space| key[0] == *space as u8)).unwrap_or(0);
        for (i, space) in spaces.iter().enumerate().skip(first) {
            let prefix = key::numbered(*space, id);
            let end = key::after_prefix(&prefix).unwrap_or_default();
            let start = from.filter(|_| i == first).map_or(Bound::Included(&prefix[..]), |key| Bound::Excluded(key));
            for pair in self.store.range(start, Bound::Excluded(&end), false) {
                let key = pair?.0.to_vec();
                let report = &mut self.found.report;
                *(if *space == Space::Block { &mut report.blocks } else { &mut report.entries }) += 1;
                self.found.step.delete.push(key.clone());
                if self.is_full() {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }

    /// Past commits of a repo, and blocks that nothing refers to, up to a position. The last key looked at, unless these
    /// are all.
    fn purge(&mut self, repo: RepoId, pos: Pos, from: Option<Key>) -> Result<Option<Key>> {
        let blocks = key::numbered(Space::Block, repo.0);
        let end = key::after_prefix(&blocks).unwrap_or_default();
        let start = match &from {
            Some(key) if key[0] == Space::Block as u8 => Bound::Excluded(&key[..]),
            _ => {
                if let Some(stopped_at) = self.past_commits(repo, pos, from)? {
                    return Ok(Some(stopped_at));
                }
                Bound::Included(&blocks[..])
            }
        };
        let store = self.store;
        for pair in store.range(start, Bound::Excluded(&end), false) {
            let (k, v) = pair?;
            let block: BlockValue = value::decode(&v, "block")?;
            if block.refs == 0 && block.released <= pos.0 {
                let (repo, cid) = key::read_block(&k)?;
                self.found.step.release.push((repo, cid, block.released));
                self.found.report.blocks += 1;
            }
            self.looked_at += 1;
            if self.is_full() {
                return Ok(Some(k.to_vec()));
            }
        }
        Ok(None)
    }

    /// A commit is past when the next one was made: the one that is stopped at is looked at again.
    fn past_commits(&mut self, repo: RepoId, pos: Pos, from: Option<Key>) -> Result<Option<Key>> {
        let commits = key::numbered(Space::Commit, repo.0);
        let end = key::after_prefix(&commits).unwrap_or_default();
        let start = from.unwrap_or(commits);
        let mut before: Option<Key> = None;
        for pair in self.store.range(Bound::Included(&start), Bound::Excluded(&end), false) {
            let (k, v) = pair?;
            let row: CommitRow = value::decode(&v, "commit")?;
            if row.pos > pos {
                break;
            }
            if let Some(before) = before.replace(k.to_vec()) {
                self.found.step.delete.push(before);
                self.found.report.entries += 1;
            }
            self.looked_at += 1;
            if self.is_full() {
                return Ok(before);
            }
        }
        Ok(None)
    }
}
