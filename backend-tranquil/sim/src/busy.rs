//! Runs with many commits and little else: what shows only after thousands of cycles, files and drains, and cheap enough
//! that there can be millions of them.

use conformance::history::{Intent, Note, Step};

use crate::plan::{Act, Plan, Setup, crash};
use crate::rng::Rng;

/// Those who write.
const PEOPLE: u64 = 12;
/// Records that each of them writes again and again.
const PATHS: u64 = 9;
/// An hour.
const HOUR_MICROS: u64 = 3_600_000_000;

impl Plan {
    /// The run of a seed in which so many batches are sent, of a dozen commits each.
    #[must_use]
    pub fn busy(seed: u64, batches: usize) -> Self {
        let mut rng = Rng::of(seed, 6);
        let setup = setup(&mut rng);
        let (has_crashes, has_storms) = (!rng.one_in(5), rng.one_in(2));
        let mut acts: Vec<Act> = (0..PEOPLE).map(create).map(Act::Story).collect();
        for _ in 0..batches {
            acts.push(Act::Story(Step::ApplyMany {
                mutations: (0..PEOPLE).map(|who| commit(who, &mut rng)).collect(),
            }));
            match rng.below(400) {
                0..20 => acts.push(Act::Story(Step::Advance(rng.below(24 * HOUR_MICROS)))),
                20..60 => acts.push(Act::Read(rng.below(4), 1 + rng.below(300))),
                60..75 => acts.push(Act::Consume(1 + rng.below(300))),
                75..175 => acts.push(Act::Turns(1 + rng.below(12))),
                175..180 => acts.push(Act::Peek(1 + rng.below(6))),
                180..184 => acts.push(Act::Follow(rng.below(200))),
                184..185 => acts.push(Act::Leave(rng.below(4))),
                185..202 if has_storms => acts.push(Act::Calm),
                202..240 => acts.extend(rare(&mut rng, has_crashes, has_storms)),
                _ => {}
            }
        }
        Self::new(seed, setup, acts)
    }
}

/// What costs as much as hundreds of commits.
fn rare(rng: &mut Rng, has_crashes: bool, has_storms: bool) -> Option<Act> {
    Some(match rng.below(152) {
        0..20 => Act::Story(Step::Sweep(50 + rng.below(2_000) as usize)),
        20..30 => Act::SweepAmong(50 + rng.below(2_000) as usize),
        30..36 => Act::Story(Step::Checkpoint),
        36..37 => Act::Story(Step::Reopen),
        37..41 if has_crashes => crash(rng),
        41..43 if has_storms => Act::Storm,
        43..44 => Act::LoseMetadata,
        44..48 => Act::Export(1 + rng.below(2_000)),
        _ => return None,
    })
}

fn create(who: u64) -> Step {
    Step::Apply { who, intents: vec![Intent::Create { handle: None, email: None, active: true }] }
}

fn commit(who: u64, rng: &mut Rng) -> (u64, Vec<Intent>) {
    let text = (!rng.one_in(6)).then(|| rng.below(1 << 20));
    let note = Note { path: rng.below(PATHS), text, blob: None, link: None };
    (who, vec![Intent::Commit { writes: vec![note], announced: true, fault: None }])
}

/// Larger than those of other runs, and still so small that all of it ends and begins again many times.
fn setup(rng: &mut Rng) -> Setup {
    Setup {
        log_file_bytes: rng.pick(&[128 << 10, 512 << 10]),
        segment_bytes: rng.pick(&[64 << 10, 256 << 10]),
        memtable_bytes: rng.pick(&[64 << 10, 512 << 10]),
        ring_bytes: rng.pick(&[16 << 10, 256 << 10]),
        snapshot_log_bytes: rng.pick(&[256 << 10, 1 << 20]),
        cycle_mutations: rng.pick(&[8, 64]),
        queue_bytes: 1 << 20,
        keeps_hot: rng.one_in(2),
        between_ppm: rng.pick(&[0, 0, 20_000]),
        copies_on_write: rng.one_in(3),
        evicts: rng.one_in(2),
        repairs: false,
    }
}
