//! Released history: the log itself is the queue.
//!
//! A cursor follows the log at the distance of the history window. Each mutation that it passes names what it replaced:
//! the blocks that it released are forgotten if nothing refers to them again, the commit before it, and its receipt.

use std::sync::Arc;

use backend_api::{CommitRow, Op, Result, SweepReport};

use super::Found;
use crate::core::Shared;
use crate::format::intent::{Intent, Maintenance};
use crate::format::key;
use crate::format::value::{self, ReleaseCursor};
use crate::log::{CycleScan, Item, Position, Scanned, Start};

/// The next piece of the log whose window has passed. A cycle is taken whole, so a little more than `limit` may be found.
pub fn find(shared: &Arc<Shared>, limit: usize) -> Result<Found> {
    let now = shared.env.clock.now().0;
    let due = now.saturating_sub(shared.options.history_window_us);
    let newest = shared.tables().mark.cycle;
    let mut cursor: ReleaseCursor = shared.value(key::RELEASE, "release cursor")?.unwrap_or_default();
    let mut found = Found { step: Maintenance::default(), report: SweepReport::default(), more: false };
    let start = match cursor.file {
        0 => Start::File(shared.log.numbers()?.first().copied().unwrap_or(1)),
        file => Start::After(Position { file, offset: cursor.offset, cycle: cursor.cycle, chain: cursor.chain }),
    };
    let mut scan = CycleScan::new(Arc::clone(&shared.log), start)?;
    let mut moved = false;
    while scan.position().cycle < newest {
        let cycle = match scan.next()? {
            Scanned::Cycle(cycle) => cycle,
            Scanned::Stop(at, why) => {
                let detail = format!("{}: {why}; nothing was changed", shared.log.path(at.file).display());
                return Err(backend_api::Error::new(backend_api::Reason::DataCorrupt, detail));
            }
        };
        let mutations = || {
            cycle.items.iter().filter_map(|item| match item {
                Item::Mutation(intent, ..) => Some(intent),
                Item::Maintenance(_) => None,
            })
        };
        // Times never decrease: the first cycle with a mutation inside the window ends the search.
        if mutations().any(|intent| intent.stamp.at.0 > due) {
            break;
        }
        for intent in mutations() {
            release(shared, intent, &mut found)?;
            cursor.pos = intent.stamp.pos.0;
        }
        // A cycle of maintenance alone moves the cursor only along with mutations: else each step would make the next.
        if mutations().next().is_some() {
            let at = scan.position();
            (cursor.file, cursor.offset, cursor.cycle, cursor.chain) = (at.file, at.offset, at.cycle, at.chain);
            moved = true;
        }
        if (found.report.blocks + found.report.entries) as usize >= limit {
            found.more = true;
            break;
        }
    }
    if moved {
        found.step.put.push((key::RELEASE.to_vec(), value::encode(&cursor)));
    }
    Ok(found)
}

fn release(shared: &Shared, intent: &Intent, found: &mut Found) -> Result<()> {
    found.step.delete.push(key::receipt(&intent.did, &intent.key));
    found.report.entries += 1;
    let commit = intent.ops.iter().find_map(|op| match op {
        Op::Commit(commit) => Some(commit),
        _ => None,
    });
    let Some(commit) = commit else { return Ok(()) };
    let replaced = commit.records.iter().filter_map(|op| op.old);
    for cid in commit.removed.iter().copied().chain(replaced) {
        found.step.release.push((intent.repo, cid, intent.stamp.pos.0));
        found.report.blocks += 1;
    }
    if let Some(expected) = commit.expected {
        let key = key::commit(intent.repo, expected.rev);
        let row: Option<CommitRow> = shared.value(&key, "commit")?;
        if row.is_some() {
            found.step.delete.push(key);
            found.report.entries += 1;
        }
    }
    Ok(())
}
