//! The change feed: the mutations themselves, read back from the commit log.

use std::sync::Arc;

use backend_api::{Change, Pos, Result};

use crate::core::Shared;
use crate::log::{CycleScan, FIRST, Item, Position, Scanned, Start};

/// Places in the log that are remembered. Consumers go on where they stopped, so few are needed.
const REMEMBERED_MAX: usize = 1_024;

/// Mutations after a position, up to both bounds, at least one if there is one.
pub fn changes(shared: &Arc<Shared>, after: Pos, limit: usize, bytes_max: usize) -> Result<Vec<Change>> {
    // What is behind the newest committed cycle is not there yet, whatever the file has.
    let newest = shared.tables().mark;
    let mut out: Vec<Change> = Vec::new();
    if after.0 >= newest.pos {
        return Ok(out);
    }
    let mut scan = CycleScan::new(Arc::clone(&shared.log), start(shared, after.0, newest.file)?)?;
    let mut bytes = 0;
    let mut next = after.0 + 1;
    while scan.position().cycle < newest.cycle && out.len() < limit {
        let cycle = match scan.next()? {
            Scanned::Cycle(cycle) => cycle,
            Scanned::Stop(at, why) => return Err(damaged(shared, at, &why)),
        };
        let mut last = None;
        for item in cycle.items {
            let Item::Mutation(intent, blocks, _) = item else { continue };
            last = Some(intent.stamp.pos.0);
            if intent.stamp.pos <= after || out.len() >= limit {
                continue;
            }
            // A log that lost its first file begins with the next one, and is sound from there on.
            if intent.stamp.pos.0 != next {
                let why = format!("change {} follows {}: restore the files between", intent.stamp.pos, next - 1);
                return Err(damaged(shared, cycle.before, &why));
            }
            next += 1;
            let change = intent.into_change(blocks);
            bytes += size(&change);
            if bytes > bytes_max && !out.is_empty() {
                return Ok(out);
            }
            out.push(change);
        }
        if let Some(last) = last.filter(|last| out.last().is_none_or(|c| c.stamp.pos.0 >= *last)) {
            remember(shared, last, scan.position());
        }
    }
    Ok(out)
}

fn damaged(shared: &Shared, at: Position, why: &str) -> backend_api::Error {
    let detail = format!("{}: {why}; nothing was changed", shared.log.path(at.file).display());
    backend_api::Error::new(backend_api::Reason::DataCorrupt, detail)
}

fn size(change: &Change) -> usize {
    256 + change.mutation.blocks.iter().map(|b| b.bytes().len()).sum::<usize>()
}

fn remember(shared: &Shared, pos: u64, at: Position) {
    let mut feed = shared.feed.lock().expect("no panic under this lock");
    feed.insert(pos, at);
    if feed.len() > REMEMBERED_MAX {
        // Every other one: the feed stays spread over the whole log.
        let mut keep = false;
        feed.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

/// The nearest known place before a position: remembered, or the start of the newest file that begins before it.
/// Files behind that of the newest cycle are being begun: nothing of them is looked at.
fn start(shared: &Arc<Shared>, after: u64, newest: u32) -> Result<Start> {
    let known = {
        let feed = shared.feed.lock().expect("no panic under this lock");
        feed.range(..=after).next_back().map(|(_, at)| *at)
    };
    let mut numbers = shared.log.numbers()?;
    numbers.retain(|number| *number <= newest);
    let (mut low, mut high) = (0, numbers.len());
    // Files whose first mutation is at or before the position wanted; the last of them has it.
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if first_pos(shared, numbers[middle])?.is_some_and(|pos| pos <= after + 1) {
            low = middle;
        } else {
            high = middle;
        }
    }
    let file = numbers.get(low).copied().unwrap_or(FIRST);
    Ok(match known {
        Some(at) if at.file >= file => Start::After(at),
        _ => Start::File(file),
    })
}

/// The first mutation of a file; `None` if it has none yet.
fn first_pos(shared: &Arc<Shared>, number: u32) -> Result<Option<u64>> {
    let newest = shared.tables().mark.cycle;
    let mut scan = CycleScan::new(Arc::clone(&shared.log), Start::File(number))?;
    while scan.position().cycle < newest && scan.position().file == number {
        let Scanned::Cycle(cycle) = scan.next()? else { return Ok(None) };
        let first = cycle.items.iter().find_map(|item| match item {
            Item::Mutation(intent, ..) => Some(intent.stamp.pos.0),
            Item::Maintenance(_) => None,
        });
        if first.is_some() {
            return Ok(first);
        }
    }
    Ok(None)
}
