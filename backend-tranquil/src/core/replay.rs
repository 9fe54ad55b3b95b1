//! Taking cycles of the log again.

use std::sync::Arc;

use backend_api::{Block, Checked, Error, Kind, Reason, Result, replan};

use super::draft::{commit_repo, frames};
use super::maintain;
use super::shared::{Counters, Shared};
use crate::format::intent::Intent;
use crate::format::value::{Mark, Place};
use crate::log::{CycleScan, FIRST, Item, LogFiles, Position, Scanned, ScannedCycle, is_gone};
use crate::meta::{Memtable, encode_effects};

/// Applies a cycle that the log holds, exactly as it was applied first.
///
/// # Errors
/// [`Reason::DataCorrupt`] if the rules lead to anything else than they did then: the metadata under it is not what it
/// was. Nothing is carried on from there.
pub fn apply(shared: &Arc<Shared>, cycle: ScannedCycle, after: Position) -> Result<()> {
    let mut pending = Memtable::default();
    let mut events = Vec::new();
    let mut last = shared.tables().mark;
    let event_head = shared.events.window()?.head.get();
    let path = shared.log.path(cycle.before.file);
    for item in cycle.items {
        let tables = shared.tables();
        match item {
            Item::Maintenance(step) => {
                let mut done = maintain::apply(&step, &tables, &[&pending])?;
                pending.absorb(&mut done);
                last.at = last.at.max(step.at.0);
            }
            Item::Mutation(intent, blocks, places) => {
                let stamp = intent.stamp;
                let wrong = |what: &str| {
                    let detail = format!(
                        "{}: cycle {} at offset {}: replay of mutation {}: {what}; nothing was changed",
                        path.display(),
                        cycle.end.cycle,
                        cycle.before.offset,
                        stamp.pos
                    );
                    Error::new(Reason::DataCorrupt, detail)
                };
                if stamp.pos.0 != last.pos + 1 {
                    return Err(wrong(&format!("the metadata stands at mutation {}", last.pos)));
                }
                let (intent, checked) = checked(*intent, blocks)?;
                let layers = tables.layers_over([&pending]);
                let effects = replan(&layers, &checked, stamp).map_err(|e| match e.kind() {
                    // The view could not be read: that says nothing about what is stored.
                    Kind::Busy | Kind::Stopped => e,
                    _ => wrong(&e.to_string()),
                })?;
                let sum = put(&effects, &mut pending, &places);
                if sum != intent.effects || commit_repo(&effects) != intent.repo {
                    return Err(wrong("it does something else than it did"));
                }
                for event in frames(&checked, &effects, stamp)? {
                    last.seq = event.seq.get();
                    if event.seq.get() > event_head {
                        events.push(event);
                    }
                }
                (last.pos, last.at) = (stamp.pos.0, stamp.at.0);
                Counters::add(&shared.counters.replayed, 1);
            }
        }
    }
    (last.cycle, last.chain, last.file, last.offset) = (after.cycle, after.chain, after.file, after.offset);
    {
        let mut tables = shared.tables_mut();
        tables.active.absorb(&mut pending);
        tables.mark = last;
    }
    shared.events.publish(events);
    shared.flush_events()
}

fn put(effects: &backend_api::Effects, pending: &mut Memtable, places: &[Place]) -> u32 {
    encode_effects(effects, pending, &|i| places[i])
}

/// The mutation of an intent, checked when it was first taken.
fn checked(mut intent: Intent, blocks: Vec<Block>) -> Result<(Intent, Checked)> {
    let ops = std::mem::take(&mut intent.ops);
    let mutation = backend_api::Mutation { did: intent.did.clone(), key: intent.key, ops, blocks };
    Ok((intent, Checked::trusted(mutation)?))
}

/// Where replay of a store with that mark starts.
///
/// # Errors
/// [`Reason::DataCorrupt`] if that is in a file that is not there.
pub fn start(log: &LogFiles, mark: &Mark) -> Result<Option<crate::log::Start>> {
    use crate::log::Start;
    if mark.cycle > 0 {
        let at = Position { file: mark.file, offset: mark.offset, cycle: mark.cycle, chain: mark.chain };
        return Ok(Some(Start::After(at)));
    }
    match log.numbers()?.first() {
        Some(&FIRST) => Ok(Some(Start::File(FIRST))),
        Some(_) => Err(is_gone(&log.path(FIRST))),
        None => Ok(None),
    }
}

/// The number of the last event of a cycle, if it has one.
pub fn last_seq(cycle: &ScannedCycle) -> Option<u64> {
    cycle.items.iter().rev().find_map(|item| match item {
        Item::Mutation(intent, ..) if intent.events > 0 => {
            Some(intent.stamp.first_seq.get() + u64::from(intent.events) - 1)
        }
        _ => None,
    })
}

/// The number of the last mutation of a cycle, if it has one.
pub fn last_pos(cycle: &ScannedCycle) -> Option<u64> {
    cycle.items.iter().rev().find_map(|item| match item {
        Item::Mutation(intent, ..) => Some(intent.stamp.pos.0),
        Item::Maintenance(_) => None,
    })
}

/// The next cycle of a scan: from the log itself if it has events that the event log has not, for a hint file has no bytes
/// to make events of.
pub fn next(scan: &mut CycleScan, event_head: u64) -> Result<Scanned> {
    loop {
        match scan.next()? {
            Scanned::Cycle(cycle) if cycle.hinted && last_seq(&cycle).is_some_and(|last| last > event_head) => {
                scan.without_hint(&cycle);
            }
            found => return Ok(found),
        }
    }
}
