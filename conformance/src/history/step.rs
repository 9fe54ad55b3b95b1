//! What can happen in a history.

use backend_api::AccountStatus;

use super::rng::Rng;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Somebody sends one mutation that means all this.
    Apply {
        /// Which account.
        who: u64,
        /// What it means, in order.
        intents: Vec<Intent>,
    },
    /// Two mutations at once, through `apply_many`.
    ApplyMany {
        /// Whose, and what.
        mutations: Vec<(u64, Vec<Intent>)>,
    },
    /// The newest mutation that was sent, again.
    Retry,
    /// The key of the newest mutation that was sent, for something else.
    ReuseKey,
    /// Time passes.
    Advance(u64),
    /// The clock goes back.
    GoBack(u64),
    /// A sweep, in steps of so many entries, to its end.
    Sweep(usize),
    /// Both stores are closed and opened.
    Reopen,
    /// A checkpoint of both.
    Checkpoint,
    /// Everything is compared.
    Compare,
}

/// One operation, as it is meant. Small numbers name things, so that they meet often.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is an operation of the contract; the fields are numbers that name things")]
pub enum Intent {
    Create {
        handle: Option<u64>,
        email: Option<u64>,
        active: bool,
    },
    Update {
        handle: Option<Option<u64>>,
        email: Option<Option<u64>>,
        confirmed: bool,
    },
    Status(AccountStatus),
    Delete,
    Purge,
    Commit {
        writes: Vec<Note>,
        announced: bool,
        fault: Option<Fault>,
    },
    PutBlob(u64),
    DeleteBlob(u64),
    PutRow {
        key: u64,
        body: u64,
        unique: Option<u64>,
        lookup: Option<u64>,
        owned: bool,
        lives: Option<u64>,
        expect: Want,
    },
    DeleteRow {
        key: u64,
        expect: Want,
    },
    TakeRow(u64),
    Identity(Option<u64>),
    Account,
    Sync,
    BeginImport,
    ImportBlocks,
    ImportTree,
    FinishImport,
    AbandonImport,
}

/// A record that is written, or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "numbers that name things")]
pub struct Note {
    pub path: u64,
    pub text: Option<u64>,
    pub blob: Option<u64>,
    pub link: Option<u64>,
}

/// What is wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says it")]
pub enum Fault {
    OtherHead,
    BlockLeftOut(u64),
    OtherBytes(u64),
    OtherOldCid,
    RemovesUnheld,
    RemovesNewRoot,
    RevNotIncreasing,
}

/// What a write demands of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "as the contract's")]
pub enum Want {
    Any,
    Absent,
    Body(u64),
}

const PEOPLE: u64 = 5;
const WINDOW_STEP_MICROS: u64 = 20 * 3_600_000_000;

/// The history of a seed. It is a pure function of its arguments. It starts with the people, so that there is somebody.
#[must_use]
pub fn generate(seed: u64, steps: usize) -> Vec<Step> {
    let rng = &mut Rng::new(seed);
    let create = |who| Step::Apply { who, intents: vec![Intent::Create { handle: None, email: None, active: true }] };
    let rest = (0..steps).map(|_| step(rng));
    (0..PEOPLE).map(create).chain(rest).take(steps).collect()
}

fn step(rng: &mut Rng) -> Step {
    match rng.below(100) {
        0..70 => {
            let (who, intents) = mutation(rng);
            Step::Apply { who, intents }
        }
        70..76 => Step::ApplyMany { mutations: (0..2 + rng.below(4)).map(|_| mutation(rng)).collect() },
        76..79 => Step::Retry,
        79..80 => Step::ReuseKey,
        80..89 => {
            let most = if rng.one_in(3) { WINDOW_STEP_MICROS } else { 5_000 };
            Step::Advance(rng.below(most))
        }
        89..90 => Step::GoBack(rng.below(10_000)),
        90..94 => Step::Sweep(if rng.one_in(2) { 1 + rng.below(20) as usize } else { 100_000 }),
        94..96 => Step::Reopen,
        96..97 => Step::Checkpoint,
        _ => Step::Compare,
    }
}

fn mutation(rng: &mut Rng) -> (u64, Vec<Intent>) {
    let who = rng.below(PEOPLE);
    let count = if rng.one_in(4) { 2 + rng.below(2) } else { 1 };
    (who, (0..count).map(|_| intent(rng)).collect())
}

fn intent(rng: &mut Rng) -> Intent {
    match rng.below(100) {
        0..7 => Intent::Create { handle: rng.maybe(4), email: rng.maybe(4), active: !rng.one_in(4) },
        7..13 => {
            let handle = rng.maybe(4).map(|_| rng.maybe(4));
            Intent::Update { handle, email: rng.maybe(4).map(|_| rng.maybe(4)), confirmed: rng.one_in(2) }
        }
        13..15 => Intent::Status(AccountStatus::ALL[if rng.one_in(4) { rng.below(7) as usize } else { 0 }]),
        15..17 => Intent::Delete,
        17..19 => Intent::Purge,
        19..50 => commit(rng),
        50..55 => Intent::PutBlob(rng.below(6)),
        55..57 => Intent::DeleteBlob(rng.below(6)),
        57..72 => put_row(rng),
        72..75 => Intent::DeleteRow { key: rng.below(8), expect: want(rng) },
        75..79 => Intent::TakeRow(rng.below(8)),
        79..81 => Intent::Identity(rng.maybe(4)),
        81..83 => Intent::Account,
        83..84 => Intent::Sync,
        84..87 => Intent::BeginImport,
        87..91 => Intent::ImportBlocks,
        91..95 => Intent::ImportTree,
        95..99 => Intent::FinishImport,
        _ => Intent::AbandonImport,
    }
}

fn commit(rng: &mut Rng) -> Intent {
    let count = if rng.one_in(8) { rng.below(30) } else { rng.below(4) };
    let note = |rng: &mut Rng| Note {
        path: rng.below(40),
        text: (!rng.one_in(4)).then(|| rng.below(12)),
        blob: rng.one_in(4).then(|| rng.below(6)),
        link: rng.one_in(4).then(|| rng.below(4)),
    };
    let fault = match rng.below(90) {
        0 => Some(Fault::OtherHead),
        1 => Some(Fault::BlockLeftOut(rng.below(10))),
        2 => Some(Fault::OtherBytes(rng.below(10))),
        3 => Some(Fault::OtherOldCid),
        4 => Some(Fault::RemovesUnheld),
        5 => Some(Fault::RemovesNewRoot),
        6 => Some(Fault::RevNotIncreasing),
        _ => None,
    };
    Intent::Commit { writes: (0..count).map(|_| note(rng)).collect(), announced: !rng.one_in(3), fault }
}

fn put_row(rng: &mut Rng) -> Intent {
    Intent::PutRow {
        key: rng.below(8),
        body: rng.below(4),
        unique: rng.maybe(5),
        lookup: rng.maybe(3),
        owned: rng.one_in(2),
        lives: rng.one_in(3).then(|| rng.below(20_000)),
        expect: want(rng),
    }
}

fn want(rng: &mut Rng) -> Want {
    match rng.below(8) {
        0 => Want::Absent,
        1 => Want::Body(rng.below(4)),
        2.. => Want::Any,
    }
}
