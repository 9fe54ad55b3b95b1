//! Released history: the log itself is the queue.
//!
//! A cursor follows the log at the distance of the history window. Each mutation that it passes names what it replaced:
//! the blocks that it released are forgotten if nothing refers to them again, the commit before it, and its receipt.

use std::collections::BTreeSet;
use std::sync::Arc;

use backend_api::{Cid, Error, Op, Reason, RepoId, Result};

use super::{Found, Progress};
use crate::core::Shared;
use crate::format::intent::Intent;
use crate::format::key;
use crate::format::value::{self, ReleaseCursor};
use crate::log::{CycleScan, FIRST, Item, Position, Scanned, Start};

/// What a mutation made due.
enum Due {
    Receipt(Vec<u8>),
    Block(RepoId, Cid, u64),
    Commit(Vec<u8>),
}

/// The next entries of the log whose window has passed.
pub fn find(shared: &Arc<Shared>, progress: &Progress, limit: usize) -> Result<Found> {
    let due = shared.now().0.saturating_sub(shared.options.history_window_us);
    let newest = shared.tables().mark.cycle;
    let mut cursor: ReleaseCursor = shared.value(key::RELEASE, "release cursor")?.unwrap_or_default();
    let mut found = Found::nothing(progress);
    let start = match cursor.file {
        0 => Start::File(FIRST),
        file => Start::After(Position { file, offset: cursor.offset, cycle: cursor.cycle, chain: cursor.chain }),
    };
    let mut scan = CycleScan::new(Arc::clone(&shared.log), start)?.with_hints();
    let mut moved = false;
    while scan.position().cycle < newest && !found.more {
        let cycle = match scan.next()? {
            Scanned::Cycle(cycle) => cycle,
            Scanned::Stop(at, why) => {
                let detail = format!("{}: {why}; nothing was changed", shared.log.path(at.file).display());
                return Err(Error::new(Reason::DataCorrupt, detail));
            }
        };
        let intents = cycle.items.iter().filter_map(|item| match item {
            Item::Mutation(intent, ..) => Some(intent),
            Item::Maintenance(_) => None,
        });
        // Times never decrease: the first cycle with a mutation inside the window ends the search.
        if intents.clone().any(|intent| intent.stamp.at.0 > due) {
            break;
        }
        let mut entries = Vec::new();
        for intent in intents {
            cursor.pos = intent.stamp.pos.0;
            list(intent, &mut entries);
        }
        // A cycle of maintenance alone does not move the cursor by itself: else each step would make the next.
        if entries.is_empty() {
            continue;
        }
        let used = (found.report.blocks + found.report.entries) as usize;
        let rest = entries.len() - (cursor.done as usize).min(entries.len());
        let taken = rest.min(limit - used);
        for entry in entries.into_iter().skip(cursor.done as usize).take(taken) {
            take(entry, &mut found);
        }
        moved |= taken > 0;
        let at = if taken < rest { cycle.before } else { scan.position() };
        cursor.done = if taken < rest { cursor.done + taken as u32 } else { 0 };
        (cursor.file, cursor.offset, cursor.cycle, cursor.chain) = (at.file, at.offset, at.cycle, at.chain);
        found.more = taken < rest || used + taken == limit;
    }
    if moved {
        found.step.put.push((key::RELEASE.to_vec(), value::encode(&cursor)));
    }
    Ok(found)
}

/// Always the same list for the same mutation, so that the cursor can stop within it.
fn list(intent: &Intent, out: &mut Vec<Due>) {
    let commit = intent.ops.iter().find_map(|op| match op {
        Op::Commit(commit) => Some(commit),
        _ => None,
    });
    if let Some(commit) = commit {
        let replaced = commit.records.iter().filter_map(|op| op.old);
        let released: BTreeSet<Cid> = commit.removed.iter().copied().chain(replaced).collect();
        out.extend(released.into_iter().map(|cid| Due::Block(intent.repo, cid, intent.stamp.pos.0)));
        out.extend(commit.expected.map(|head| Due::Commit(key::commit(intent.repo, head.rev))));
    }
    // Last: with it the mutation is done with.
    out.push(Due::Receipt(key::receipt(&intent.did, &intent.key)));
}

fn take(entry: Due, found: &mut Found) {
    match entry {
        Due::Block(repo, cid, pos) => {
            found.step.release.push((repo, cid, pos));
            found.report.blocks += 1;
        }
        Due::Commit(key) | Due::Receipt(key) => {
            found.step.delete.push(key);
            found.report.entries += 1;
        }
    }
}
