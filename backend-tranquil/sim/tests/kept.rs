//! What the simulator has found, kept: each is a small story with a crash at every call of it, and must find nothing.

use backend_api::AccountStatus;
use conformance::history::{Intent, Note, Step};
use tranquil_sim::disk::{Crash, Survivors};
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
