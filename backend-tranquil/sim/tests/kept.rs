//! What the simulator has found, kept: each is a small story with a crash at every call of it, and must find nothing.

use backend_api::AccountStatus;
use conformance::history::{Intent, Note, Step};
use tranquil_sim::disk::{Crash, Fault, Survivors};
use tranquil_sim::runs::{each, outcome};
use tranquil_sim::{Act, Plan, Setup};

const PARTS: [Crash; 4] = [
    Crash::Power(Survivors::None),
    Crash::Power(Survivors::All),
    Crash::Power(Survivors::Some(300_000)),
    Crash::Power(Survivors::Some(700_000)),
];

fn says(intents: Vec<Intent>) -> Act {
    Act::Story(Step::Apply { who: 0, intents })
}

fn created() -> Act {
    says(vec![Intent::Create { handle: None, email: None, active: true }])
}

fn notes(count: u64) -> impl Iterator<Item = Act> {
    (0..count).map(|n| {
        let note = Note { path: n, text: Some(n), blob: None, link: None };
        says(vec![
            Intent::Commit { writes: vec![note], announced: true, fault: None },
            Intent::Status(AccountStatus::Active),
            Intent::Account,
        ])
    })
}

/// Segments and files so small that a few events fill them.
fn tiny() -> Setup {
    Setup { segment_bytes: 1 << 10, log_file_bytes: 4 << 10, memtable_bytes: 4 << 10, ..Setup::plain() }
}

fn plan(seed: u64, acts: impl IntoIterator<Item = Act>) -> Plan {
    let acts = acts.into_iter().enumerate().map(|(i, act)| (i as u64 + 100, act)).collect();
    Plan { seed, setup: tiny(), acts, ends_after_crash: false }
}

fn crash(after_calls: u64, crash: Crash) -> Act {
    Act::Crash { after_calls, crash, again: Vec::new() }
}

/// Runs the story with a crash at every call, and with everything that it may leave.
fn at_every_call(story: &(dyn Fn() -> Vec<Act> + Sync)) {
    let whole = Plan { ends_after_crash: true, ..plan(1, story()) };
    let calls = outcome(&whole).expect("the story itself").calls;
    let tries = calls * PARTS.len() as u64;
    let failures = each(tries, |i| {
        let (call, part) = (1 + i / PARTS.len() as u64, PARTS[(i % PARTS.len() as u64) as usize]);
        let first = std::iter::once(crash(call, part));
        let plan = Plan { ends_after_crash: true, ..plan(i, first.chain(story())) };
        outcome(&plan).err().map(|e| format!("call {call}, {part:?}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Runs the story with a fault at every fourth call; then what comes after it, and the end of every run.
fn fault_at_every_fourth_call(faults: &[Fault], story: &(dyn Fn() -> Vec<Act> + Sync)) {
    let calls = outcome(&plan(1, story())).expect("the story itself").calls;
    let failures = each(calls * faults.len() as u64, |i| {
        let (call, fault) = (1 + i / faults.len() as u64, faults[(i % faults.len() as u64) as usize]);
        if !call.is_multiple_of(4) {
            return None;
        }
        let plan = plan(i, std::iter::once(Act::Fault { after_calls: call, fault }).chain(story()));
        outcome(&plan).err().map(|e| format!("call {call}, {fault:?}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A sync failed once, the process was killed, and the next one read back from the page cache what was not on the disk:
/// had it not been written to fresh blocks, the power cut with which every run ends would take it.
#[test]
fn what_was_read_back_after_a_failed_sync_is_written_again() {
    let killed = || [crash(1, Crash::Kill)];
    fault_at_every_fourth_call(&[Fault::SyncGate], &|| {
        std::iter::once(created()).chain(notes(4)).chain(killed()).chain(notes(2)).collect()
    });
}

/// An unread bit of a segment that was copied to fresh blocks was read wrongly: the wrong copy took the place of the right
/// file.
#[test]
fn a_bad_read_while_a_file_is_written_to_fresh_blocks() {
    fault_at_every_fourth_call(&[Fault::FlippedRead, Fault::StaleRead], &|| {
        // Of the newest segment a checkpoint vouches for a part.
        let before = std::iter::once(created()).chain(notes(3)).chain([Act::Story(Step::Checkpoint)]);
        before.chain(notes(1)).chain([crash(1, Crash::Kill)]).chain(notes(2)).collect()
    });
}

/// The store was full, and a checkpoint drained; then the reserve could not be made whole, and nobody was told of the
/// drain: the checkpoint waited for ever. So it did if the store stopped while it was full.
#[test]
fn a_checkpoint_whose_reserve_cannot_be_made_whole() {
    let full = || [Act::Full(0)].into_iter().chain(notes(2)).chain([Act::Space, Act::Story(Step::Checkpoint)]);
    fault_at_every_fourth_call(&[Fault::Name, Fault::Size, Fault::Write, Fault::Sync], &|| {
        std::iter::once(created()).chain(notes(2)).chain(full()).chain(notes(1)).collect()
    });
}

/// The metadata store says that it found no space, or could not, and has taken the run in: that shows when it is opened
/// again, and what was taken in is not taken in a second time.
#[test]
fn a_run_that_was_told_to_have_failed_is_there() {
    let full = || [Act::Full(0)].into_iter().chain(notes(3)).chain([Act::Space, Act::Story(Step::Checkpoint)]);
    fault_at_every_fourth_call(&[Fault::IngestFullDone, Fault::IngestDone], &|| {
        std::iter::once(created()).chain(notes(3)).chain(full()).chain(notes(3)).collect()
    });
}

/// A segment's name was durable and its header was not: the open took the zeros for a file of somebody else's.
#[test]
fn a_power_cut_while_a_segment_is_begun() {
    at_every_call(&|| std::iter::once(created()).chain(notes(6)).collect());
}

/// Retention removed several segments, and a power cut took some of the removals: the open found a gap.
#[test]
fn a_power_cut_while_segments_are_removed() {
    let forget = || [Act::Story(Step::Advance(300 * 3_600_000_000)), Act::Story(Step::Sweep(1_000))];
    at_every_call(&|| std::iter::once(created()).chain(notes(6)).chain(forget()).chain(notes(1)).collect());
}

/// A segment was sealed, lost its successor, grew, and was sealed again; its first index came back and kept the store from
/// opening.
#[test]
fn a_power_cut_that_brings_an_old_index_back() {
    let failures = each(150, |seed| {
        let at = |n: u64| crash(1 + (seed * 7 + n * 31) % 40, PARTS[((seed + n) % 4) as usize]);
        let acts = std::iter::once(created())
            .chain(notes(2))
            .chain([at(1)])
            .chain(notes(3))
            .chain([at(2)])
            .chain(notes(3))
            .chain([at(3)])
            .chain(notes(2));
        outcome(&plan(seed, acts)).err().map(|e| format!("seed {seed}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Retention had removed all segments but one whose header a power cut took; the open removed that one, crashed, and the
/// next open no longer knew where the events end.
#[test]
fn a_crash_while_the_only_segment_is_begun_again() {
    let forget = [Act::Story(Step::Advance(300 * 3_600_000_000)), Act::Story(Step::Sweep(1_000))];
    let before = || std::iter::once(created()).chain(notes(3)).chain([Act::Story(Step::Checkpoint)]);
    let story = || before().chain(notes(1)).chain(forget.clone());
    let failures = each(300, |seed| {
        let again = vec![(20 + seed % 90, Crash::Power(Survivors::All))];
        let power = Crash::Power(Survivors::Some(500_000));
        let last = [Act::Crash { after_calls: 1 + seed % 5, crash: power, again }];
        // Nothing is drained but by the checkpoint.
        let mut plan = Plan { ends_after_crash: true, ..plan(seed, story().chain(last).chain(notes(1))) };
        plan.setup.memtable_bytes = 1 << 20;
        outcome(&plan).err().map(|e| format!("seed {seed}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}
