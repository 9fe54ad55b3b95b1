//! What happens in a run: made from a seed, a value that can be cut down to the shortest one that still fails.

use conformance::history::{Step, generate};

use crate::disk::{Crash, Fault, Survivors};
use crate::rng::Rng;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// People do something, time passes, or maintenance is called for.
    Story(Step),
    /// The parts of the engine take so many steps.
    Turns(u64),
    /// After so many calls to the disk the process is killed or the power goes, and again within recovery.
    Crash {
        /// Calls until then.
        after_calls: u64,
        /// How.
        crash: Crash,
        /// The same within each attempt to open.
        again: Vec<(u64, Crash)>,
    },
    /// After so many calls one call goes wrong.
    Fault {
        /// Calls until then.
        after_calls: u64,
        /// How.
        fault: Fault,
    },
    /// From now on calls fail, as often as the seed says.
    Storm,
    /// That ends.
    Calm,
    /// Only so many bytes are free.
    Full(u64),
    /// There is space again.
    Space,
    /// The clock jumps, years in either direction.
    Jump(i64),
    /// The clocks stand still, until they no longer do.
    Frozen(bool),
    /// The directory of the key-value store is deleted while the store is closed.
    LoseMetadata,
    /// Somebody starts to follow the firehose, that many events before its head.
    Follow(u64),
    /// One who follows reads on; so many events at the most.
    Read(u64, u64),
    /// Somebody who follows goes away.
    Leave(u64),
    /// The reader of the change feed, who lags, reads on; so many changes at the most.
    Consume(u64),
    /// Somebody exports everything, or goes on with that; so many items at the most.
    Export(u64),
    /// A sweep in steps of so many entries, while people write.
    SweepAmong(usize),
    /// Imports of more than small mutations have: so many KiB each.
    Large(u64, u64),
    /// Random reads, whatever the disk does.
    Peek(u64),
    /// The store is checked, or with `true` repaired, while people write.
    Check(bool),
}

/// How a run is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Bytes of a log file.
    pub log_file_bytes: u64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes of a memtable.
    pub memtable_bytes: usize,
    /// Bytes of events in memory.
    pub ring_bytes: usize,
    /// Bytes of log between two copies of the metadata.
    pub snapshot_log_bytes: u64,
    /// Mutations of a cycle.
    pub cycle_mutations: usize,
    /// Bytes that wait.
    pub queue_bytes: usize,
    /// Blocks that were read are kept, or none is.
    pub keeps_hot: bool,
    /// So often in a million calls to the disk another part comes between.
    pub between_ppm: u32,
    /// A full disk refuses to overwrite, too.
    pub copies_on_write: bool,
    /// Pages that failed to be written are forgotten with the process.
    pub evicts: bool,
    /// Each open compares all files with their sidecars first.
    pub repairs: bool,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Decides what the acts leave open.
    pub seed: u64,
    /// The set-up.
    pub setup: Setup,
    /// What happens, each with a number of its own that decides its details.
    pub acts: Vec<(u64, Act)>,
    /// The run ends when everything was compared after its first crash, or with its last act.
    pub ends_after_crash: bool,
}

impl Plan {
    /// The run of a seed.
    #[must_use]
    pub fn of(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::of(seed, 1);
        let setup = Setup::of(&mut rng);
        let has_storms = !rng.one_in(3);
        let has_full = rng.one_in(3);
        let has_crashes = !rng.one_in(5);
        let has_jumps = rng.one_in(4);
        let has_large = rng.one_in(6);
        let mut acts = Vec::new();
        for step in generate(seed, steps) {
            acts.push(Act::Story(step));
            match rng.below(100) {
                0..25 => acts.push(Act::Turns(1 + rng.below(6))),
                25..31 if has_crashes => acts.push(crash(&mut rng)),
                31..34 if has_storms => acts.push(Act::Storm),
                34..40 if has_storms => acts.push(Act::Calm),
                40..42 if has_full => {
                    let free = rng.pick(&[0, 1 << 10, 32 << 10, 200 << 10]);
                    acts.push(Act::Full(free));
                }
                42..48 if has_full => acts.push(Act::Space),
                48..50 if has_jumps => acts.push(Act::Jump(jump(&mut rng))),
                48 => acts.push(Act::Frozen(true)),
                49 => acts.push(Act::Frozen(false)),
                50..51 => acts.push(Act::LoseMetadata),
                51..54 => acts.push(Act::Follow(rng.below(20))),
                54..66 => acts.push(Act::Read(rng.below(4), 1 + rng.below(12))),
                66..72 => acts.push(Act::Peek(1 + rng.below(6))),
                72..76 => acts.push(Act::Consume(1 + rng.below(20))),
                76..80 => acts.push(Act::Export(1 + rng.below(200))),
                80..83 => acts.push(Act::SweepAmong(1 + rng.below(30) as usize)),
                83..84 => acts.push(Act::Leave(rng.below(4))),
                84..87 if has_large => acts.push(Act::Large(rng.below(5), 257 + rng.below(300))),
                _ => {}
            }
        }
        let mut plan = Self::new(seed, setup, acts);
        plan.add_checks(&mut Rng::of(seed, 7));
        plan
    }

    /// Numbers of their own: where they come, no other act is another one for it.
    fn add_checks(&mut self, rng: &mut Rng) {
        for number in 0..rng.below(3) {
            let at = rng.below(self.acts.len() as u64 + 1) as usize;
            self.acts.insert(at, (CHECKS + number, Act::Check(rng.one_in(2))));
        }
    }

    /// The run of these acts. Each has its number: those below a hundred are the run's own.
    #[must_use]
    pub fn new(seed: u64, setup: Setup, acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = acts.into_iter().enumerate().map(|(i, act)| (i as u64 + 100, act)).collect();
        Self { seed, setup, acts, ends_after_crash: false }
    }

    /// A run in which nothing goes wrong by itself: what is tried on it is said by `first`.
    #[must_use]
    pub fn reference(steps: usize, first: Option<Act>) -> Self {
        let story = generate(REFERENCE_SEED, steps).into_iter().map(Act::Story);
        // Later than anything that matters: what is forgotten, and how, is part of it.
        let forget = [Step::Advance(200 * 3_600_000_000), Step::Sweep(40), Step::Checkpoint, Step::Reopen];
        let acts = first.into_iter().chain(story).chain(forget.into_iter().map(Act::Story));
        Self::new(REFERENCE_SEED, Setup::plain(), acts)
    }
}

/// The numbers of checks begin here.
const CHECKS: u64 = 1 << 20;

/// The history of this seed has everything that people do.
const REFERENCE_SEED: u64 = 7;

fn jump(rng: &mut Rng) -> i64 {
    let years = rng.below(30) as i64 * 365 * 86_400_000_000;
    if rng.one_in(2) { years } else { -years }
}

pub(crate) fn crash(rng: &mut Rng) -> Act {
    let calls = |rng: &mut Rng| if rng.one_in(2) { 1 + rng.below(12) } else { 1 + rng.below(120) };
    let after_calls = calls(rng);
    let crash = how(rng);
    let again = (0..if rng.one_in(3) { 1 + rng.below(3) } else { 0 }).map(|_| (calls(rng), how(rng))).collect();
    Act::Crash { after_calls, crash, again }
}

/// A way to crash.
pub fn how(rng: &mut Rng) -> Crash {
    match rng.below(10) {
        0..3 => Crash::Kill,
        3 => Crash::Power(Survivors::None),
        4 => Crash::Power(Survivors::All),
        5 => Crash::Power(Survivors::First(rng.below(8))),
        _ => Crash::Power(Survivors::Some(rng.pick(&[100_000, 500_000, 900_000]))),
    }
}

impl Setup {
    fn of(rng: &mut Rng) -> Self {
        Self {
            log_file_bytes: rng.pick(&[4 << 10, 8 << 10, 32 << 10]),
            segment_bytes: rng.pick(&[1 << 10, 4 << 10, 16 << 10]),
            memtable_bytes: rng.pick(&[2 << 10, 8 << 10, 64 << 10]),
            ring_bytes: rng.pick(&[0, 1 << 10, 64 << 10]),
            snapshot_log_bytes: rng.pick(&[1, 8 << 10, 64 << 10]),
            cycle_mutations: rng.pick(&[1, 3, 64]),
            queue_bytes: rng.pick(&[8 << 10, 1 << 20, 1 << 20]),
            keeps_hot: rng.one_in(2),
            between_ppm: rng.pick(&[0, 20_000, 200_000]),
            copies_on_write: rng.one_in(3),
            evicts: rng.one_in(2),
            repairs: rng.one_in(8),
        }
    }

    /// For runs that are to be the same whatever is tried on them.
    #[must_use]
    pub const fn plain() -> Self {
        Self {
            log_file_bytes: 8 << 10,
            segment_bytes: 4 << 10,
            memtable_bytes: 8 << 10,
            ring_bytes: 1 << 10,
            snapshot_log_bytes: 8 << 10,
            cycle_mutations: 3,
            queue_bytes: 1 << 20,
            keeps_hot: false,
            between_ppm: 0,
            copies_on_write: false,
            evicts: false,
            repairs: false,
        }
    }
}
