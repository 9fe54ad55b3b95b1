//! What the simulator has found, kept: each is a small story with a crash at every call of it, and must find nothing.

use backend_api::AccountStatus;
use conformance::history::{self, Intent, Note, Step, Want};
use tranquil_sim::disk::{Call, Crash, Fault, Survivors};
use tranquil_sim::runs::{each, outcome};
use tranquil_sim::{Act, Plan, Setup};

const PARTS: [Crash; 4] = [
    Crash::Power(Survivors::None),
    Crash::Power(Survivors::All),
    Crash::Power(Survivors::Some(300_000)),
    Crash::Power(Survivors::Some(700_000)),
];

/// Seeds that tell each story: they decide who waits for an answer, and which part takes the next step.
const SEEDS: u64 = 2;

fn says(intents: Vec<Intent>) -> Act {
    Act::Story(Step::Apply { who: 0, intents })
}

fn created() -> Act {
    says(vec![Intent::Create { handle: None, email: None, active: true }])
}

/// A row is put: of that no event tells.
fn row(key: u64) -> Intent {
    Intent::PutRow { key, body: key, unique: None, lookup: None, owned: true, lives: None, expect: Want::Any }
}

fn notes(count: u64) -> impl Iterator<Item = Act> {
    notes_from(0, count)
}

fn notes_from(first: u64, count: u64) -> impl Iterator<Item = Act> {
    (first..first + count).map(|n| {
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
    Plan::new(seed, tiny(), acts)
}

fn crash(after_calls: u64, crash: Crash) -> Act {
    Act::Crash { after_calls, crash, again: Vec::new() }
}

/// What a run violates, or that what it was to try never came.
fn came(plan: &Plan) -> Result<(), String> {
    let report = outcome(plan).map_err(|e| e.to_string())?;
    if report.has_happened { Ok(()) } else { Err("never came".into()) }
}

/// What each call of a story is, as acts count them; something else stands where the crash or fault would.
fn calls(seed: u64, setup: &Setup, story: Vec<Act>) -> Vec<Call> {
    let whole = plan(seed, std::iter::once(Act::Calm).chain(story));
    outcome(&Plan { setup: setup.clone(), ..whole }).expect("the story itself").kinds
}

/// Runs the story, as a few seeds tell it, with a crash at every call, and with everything that it may leave.
fn at_every_call(story: &(dyn Fn() -> Vec<Act> + Sync)) {
    let places = |seed| (1..=calls(seed, &tiny(), story()).len() as u64).map(move |call| (seed, call));
    let places: Vec<_> = (1..=SEEDS).flat_map(places).collect();
    let failures = each((places.len() * PARTS.len()) as u64, |i| {
        let ((seed, call), part) = (places[i as usize / PARTS.len()], PARTS[i as usize % PARTS.len()]);
        let first = std::iter::once(crash(call, part));
        let plan = Plan { ends_after_crash: true, ..plan(seed, first.chain(story())) };
        came(&plan).err().map(|e| format!("seed {seed}, call {call}, {part:?}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Runs the story, as a few seeds tell it, with each fault at every call to which it can happen; then what comes after it,
/// and the end of every run. And as often as a seed of its own tells it, where that call may be another.
fn fault_at_every_call(faults: &[Fault], setup: &Setup, story: &(dyn Fn() -> Vec<Act> + Sync)) {
    let possible = |seed| {
        let calls = (1..).zip(calls(seed, setup, story()));
        let each = calls.flat_map(|(call, kind)| faults.iter().map(move |fault| (seed, call, kind, *fault)));
        each.filter(|(_, _, kind, fault)| kind.faults().contains(fault)).collect::<Vec<_>>()
    };
    let possible: Vec<_> = (1..=SEEDS).flat_map(possible).collect();
    let failures = each(possible.len() as u64 * 2, |i| {
        let (seed, after_calls, _, fault) = possible[i as usize / 2];
        let acts = std::iter::once(Act::Fault { after_calls, fault }).chain(story());
        let of = |seed| Plan { setup: setup.clone(), ..plan(seed, acts.clone()) };
        let found =
            if i % 2 == 0 { came(&of(seed)) } else { outcome(&of(1_000 + i)).map(drop).map_err(|e| e.to_string()) };
        found.err().map(|e| format!("{i}: seed {seed}, call {after_calls}, {fault:?}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Runs stories in which nothing goes wrong but what they say, each from a few seeds. What is not checkpointed stays in
/// memory.
fn all_is_well(stories: &[Vec<Act>]) {
    let failures = each(stories.len() as u64 * SEEDS, |i| {
        let story = stories[(i / SEEDS) as usize].clone();
        let plan = Plan { setup: Setup { memtable_bytes: 1 << 20, ..tiny() }, ..plan(i, story) };
        outcome(&plan).err().map(|e| format!("story {}: {e}", i / SEEDS))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A sync failed once, the process was killed, and the next one read back from the page cache what was not on the disk:
/// had it not been written to fresh blocks, the power cut with which every run ends would take it.
#[test]
fn what_was_read_back_after_a_failed_sync_is_written_again() {
    fault_at_every_call(&[Fault::SyncGate], &tiny(), &|| {
        // The checkpoint syncs the events.
        let before = std::iter::once(created()).chain(notes(4)).chain([Act::Story(Step::Checkpoint)]);
        before.chain([crash(1, Crash::Kill)]).chain(notes(2)).collect()
    });
}

/// A file that was written anew took its name, and no descriptor was left to make that durable: it was written in its place
/// instead, and the power cut took the name back, with all that was written under it since.
#[test]
fn a_name_that_cannot_be_made_durable_for_want_of_a_descriptor() {
    fault_at_every_call(&[Fault::Descriptors], &tiny(), &|| {
        let before = std::iter::once(created()).chain(notes(3)).chain([crash(1, Crash::Kill)]);
        before.chain(notes(2)).chain([Act::Story(Step::Checkpoint)]).collect()
    });
}

/// An unread bit of a segment that was copied to fresh blocks was read wrongly: the wrong copy took the place of the right
/// file.
#[test]
fn a_bad_read_while_a_file_is_written_to_fresh_blocks() {
    fault_at_every_call(&[Fault::FlippedRead, Fault::StaleRead], &tiny(), &|| {
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
    fault_at_every_call(&[Fault::Name, Fault::Size, Fault::Write, Fault::Sync], &tiny(), &|| {
        std::iter::once(created()).chain(notes(2)).chain(full()).chain(notes(1)).collect()
    });
}

/// The metadata store says that it found no space, or could not, and has taken the run in: that shows when it is opened
/// again, and what was taken in is not taken in a second time.
#[test]
fn a_run_that_was_told_to_have_failed_is_there() {
    let full = || [Act::Full(0)].into_iter().chain(notes(3)).chain([Act::Space, Act::Story(Step::Checkpoint)]);
    fault_at_every_call(&[Fault::IngestFullDone, Fault::IngestDone], &tiny(), &|| {
        std::iter::once(created()).chain(notes(3)).chain(full()).chain(notes(3)).collect()
    });
}

/// Everything was drained when the metadata store was opened again, and meanwhile somebody asked for a checkpoint: the empty
/// table that was frozen for it was taken for a run that had been told to have failed, and nobody was told of it.
#[test]
fn a_checkpoint_that_is_asked_for_while_the_metadata_store_is_opened_again() {
    // All is drained by the open, of a store that is full; parts come between each other's calls.
    let setup = Setup { memtable_bytes: 1, between_ppm: 200_000, ..tiny() };
    let failures = each(1_000, |i| {
        let full = [Act::Full(0), crash(1, Crash::Kill)].into_iter().chain(notes_from(3, 2));
        let asked = full.chain([Act::Space, Act::Story(Step::Checkpoint)]);
        let acts = std::iter::once(created()).chain(notes(3)).chain(asked);
        outcome(&Plan { setup: setup.clone(), ..plan(i, acts) }).err().map(|e| format!("{i}: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// One bad read of the newest cycle, of which no event tells, looks like an end that was torn: it is read again before it is
/// cut off.
#[test]
fn a_bad_read_of_the_newest_cycle() {
    let rows = || (0..3).map(|key| says(vec![row(key)]));
    let failures = each(2 * 2 * 80, |i| {
        let fault = [Fault::StaleRead, Fault::FlippedRead][i as usize % 2];
        let kill = crash(1, Crash::Kill);
        let acts = std::iter::once(created()).chain(rows()).chain([Act::Fault { after_calls: 2 + i / 4, fault }, kill]);
        outcome(&plan(i % 4, acts.chain(rows()))).err().map(|e| format!("{i}: {fault:?}: {e}"))
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
    at_every_call(&|| {
        std::iter::once(created())
            .chain(notes(10))
            .chain([Act::Story(Step::Checkpoint)])
            .chain(forget())
            .chain(notes(1))
            .collect()
    });
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

/// A file of the log had its name, the process was killed before that was durable, and everything was drained, so that
/// nothing made the open sync the directory: what the next process wrote to that file would go with the name.
#[test]
fn names_that_a_kill_left_before_they_were_durable() {
    const NOTES: u64 = 8;
    // Every cycle is drained by itself: a checkpoint would begin the file before it drains.
    let setup = Setup { memtable_bytes: 1, ..tiny() };
    let drained = |count| {
        let notes = notes(count).flat_map(|note| [note, Act::Turns(20)]);
        std::iter::once(created()).chain(notes).collect::<Vec<_>>()
    };
    let places = |seed| {
        let calls = calls(seed, &setup, drained(NOTES));
        (1..).zip(calls).filter(|(_, kind)| *kind == Call::SyncDirectory).map(move |(call, _)| (seed, call))
    };
    let places: Vec<_> = (1..=3).flat_map(places).collect();
    assert!(places.len() > 16, "{places:?}");
    let failures = each(places.len() as u64 * NOTES, |i| {
        let ((seed, call), count) = (places[(i / NOTES) as usize], i % NOTES);
        let acts = std::iter::once(crash(call, Crash::Kill))
            .chain(drained(count))
            .chain(notes_from(count, 1))
            // It is acknowledged, and nothing else has been done since.
            .chain([crash(1, Crash::Power(Survivors::None))])
            .chain(notes_from(count + 1, 1));
        let plan = Plan { setup: setup.clone(), ..plan(seed, acts) };
        outcome(&plan).err().map(|e| format!("seed {seed}, call {call}, {count} notes: {e}"))
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A cycle that was planned on top of one that fails is planned again, and everybody in it is answered.
#[test]
fn what_was_planned_on_top_of_a_cycle_that_failed() {
    let crowd =
        || Act::Story(Step::ApplyMany { mutations: (0..8).map(|n| (0, vec![Intent::PutBlob(n % 6)])).collect() });
    fault_at_every_call(&[Fault::NoSpace, Fault::Quota, Fault::Write, Fault::Sync], &tiny(), &|| {
        [created(), crowd(), crowd()].into_iter().chain(notes(1)).collect()
    });
}

/// A read failed in the scan of the log: that is not its end.
#[test]
fn a_read_error_while_the_log_is_scanned() {
    // Nothing is drained, so everything is read again.
    let setup = Setup { memtable_bytes: 1 << 20, ..tiny() };
    fault_at_every_call(&[Fault::Read], &setup, &|| {
        std::iter::once(created()).chain(notes(3)).chain([crash(1, Crash::Kill)]).chain(notes_from(3, 2)).collect()
    });
}

/// What retention keeps begins anywhere in a segment, also with its last event; and begins there after a kill.
#[test]
fn retention_that_ends_anywhere_in_a_segment() {
    let hours = |n: u64| Act::Story(Step::Advance(n * 3_600_000_000));
    // One event each.
    let events = |count| (0..count).map(|_| says(vec![Intent::Account]));
    let story = |before, then: Option<Act>| {
        let old = std::iter::once(created()).chain(events(before)).chain([hours(60)]);
        let kept = events(8).chain([hours(60), Act::Story(Step::Sweep(1_000))]);
        old.chain(kept).chain(then).chain(events(1)).chain([Act::Story(Step::Compare)]).collect()
    };
    let stories: Vec<Vec<Act>> =
        (1..12).flat_map(|before| [story(before, None), story(before, Some(crash(1, Crash::Kill)))]).collect();
    all_is_well(&stories);
}

/// A block that nothing refers to any more, but is still there, holds nothing: it has to be sent again.
#[test]
fn what_nothing_refers_to_is_sent_again() {
    let commit = |path, text, fault| {
        let writes = vec![Note { path, text, blob: None, link: None }];
        // What is announced has to be sent anyway.
        says(vec![Intent::Commit { writes, announced: false, fault }])
    };
    let story = |left_out| {
        let again = commit(3, Some(5), Some(history::Fault::BlockLeftOut(left_out)));
        vec![created(), commit(0, Some(5), None), commit(0, None, None), again, Act::Story(Step::Compare)]
    };
    all_is_well(&(0..4).map(story).collect::<Vec<_>>());
}

/// Rows expire: all of them before a sweep says that it is done, and nothing of one is taken for another's.
#[test]
fn rows_that_expire() {
    let row = |key, unique, lives| {
        let expect = Want::Any;
        says(vec![Intent::PutRow { key, body: 0, unique, lookup: None, owned: false, lives, expect }])
    };
    let (later, compare) = (Act::Story(Step::Advance(20)), Act::Story(Step::Compare));
    let sweep = |budget| Act::Story(Step::Sweep(budget));
    let many = (0..8).map(|n| row(n, None, Some(10))).chain([later.clone(), sweep(3), compare.clone()]);
    let heir = [row(0, Some(1), Some(10)), later, sweep(1_000), row(0, None, None), compare];
    all_is_well(&[many.collect(), heir.to_vec()]);
}

/// An export goes on with the events of its moment, also when retention has let them go meanwhile.
#[test]
fn an_export_has_the_events_that_went_since_it_was_begun() {
    let story = |read| {
        let begun = std::iter::once(created()).chain(notes(12)).chain([Act::Export(1), Act::Export(read)]);
        let gone = [Act::Story(Step::Advance(300 * 3_600_000_000)), Act::Story(Step::Sweep(10_000))];
        begun.chain(gone).chain([Act::Export(10_000), Act::Story(Step::Compare)]).collect::<Vec<_>>()
    };
    all_is_well(&(1..4).map(story).collect::<Vec<_>>());
}

/// The clock goes back after a sweep: what was forgotten because of its time stays so, and what comes is not older; nor is
/// it after a kill.
#[test]
fn the_time_of_a_sweep_is_the_least_of_what_comes() {
    let story = |then: Vec<Act>| {
        let begun = std::iter::once(created()).chain(notes(3)).chain([Act::Story(Step::Advance(80 * 3_600_000_000))]);
        let swept = begun.chain([Act::Story(Step::Sweep(1_000))]).chain(then);
        let back = [Act::Story(Step::GoBack(60 * 3_600_000_000))];
        swept.chain(back).chain(notes_from(3, 2)).chain([Act::Story(Step::Compare)]).collect::<Vec<_>>()
    };
    all_is_well(&[story(Vec::new()), story(vec![crash(1, Crash::Kill), Act::Consume(100)])]);
}

/// A sweep was broken off when it had forgotten all that there was, and was ended by one with nothing to do: for the store's
/// time the former counts, and the simulator took the latter.
#[test]
fn a_sweep_that_is_ended_later_counts_for_its_own_time() {
    const HOUR_US: u64 = 3_600_000_000;
    let faults = [Fault::Read, Fault::Write, Fault::Ingest];
    fault_at_every_call(&faults, &tiny(), &|| {
        let story = |step| Act::Story(step);
        let sweep = [story(Step::Advance(300 * HOUR_US)), story(Step::Sweep(1))];
        let later = [story(Step::Advance(HOUR_US)), story(Step::Checkpoint), story(Step::Sweep(1_000))];
        let back = [story(Step::GoBack(2 * HOUR_US)), says(vec![Intent::PutBlob(1)])];
        std::iter::once(created()).chain(notes(3)).chain(sweep).chain(later).chain(back).collect()
    });
}
