//! Files that change behind the engine's back: detected or harmless, never a wrong answer, never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backend_api::{Change, Changes, Error, Kind, Pos, SnapshotItem, Snapshots};
use conformance::history::{Intent, Step};

use super::{Swept, part_of};
use crate::disk::{SECTOR_BYTES, SimDisk, State};
use crate::invariants::held;
use crate::invariants::steps::TURNS_MAX;
use crate::plan::{Act, Plan, Setup};
use crate::rng::Rng;
use crate::runs::each;
use crate::world::{Machine, run_to_machine};

/// Steps of people in the small store.
const STEPS: usize = 60;
/// Decides the identity of the other store.
const OTHER_SEED: u64 = 8;

/// What is done to the files.
#[derive(Debug, Clone)]
enum Harm {
    Flip(String, u64, u32),
    Cut(String, u64),
    Lose(String),
    Swap(String, String),
    Foreign(String, Foreign),
}

/// The bytes of a file of another store.
#[derive(Clone)]
struct Foreign(Arc<Vec<u8>>);

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// How it ended.
enum End {
    /// The store says that something is wrong.
    Told,
    /// The same; and it is as it was when somebody has it repaired.
    Healed,
    /// It is as it was.
    Harmless,
}

/// A store to which harm is done, and what it has.
struct Subject {
    machine: Machine,
    expected: Content,
    /// It was killed, and of its log nothing was drained: each cycle has one mutation.
    was_killed: bool,
}

impl Subject {
    fn new(plan: &Plan, was_killed: bool) -> Result<Self, String> {
        let machine = run_to_machine(plan, !was_killed).map_err(|e| e.to_string())?;
        let other = Machine { disk: machine.disk.fork(), ..machine.clone() };
        let expected = everything(&other).map_err(|e| e.to_string())?;
        Ok(Self { machine, expected, was_killed })
    }

    /// Mutations without a checkpoint, each in a cycle of its own, and a kill. Few have events: by these alone it would be
    /// told that something is missing.
    fn killed() -> Result<Self, String> {
        let mut plan = Plan::reference(STEPS * 3, None);
        plan.setup = Setup { memtable_bytes: 1 << 20, cycle_mutations: 1, ..Setup::plain() };
        let is_quiet = |intents: &Vec<Intent>| {
            matches!(intents[..], [Intent::Create { .. } | Intent::PutBlob(_) | Intent::PutRow { .. }])
        };
        plan.acts.retain(|(_, act)| matches!(act, Act::Story(Step::Apply { intents, .. }) if is_quiet(intents)));
        Self::new(&plan, true)
    }
}

/// Every byte of every file flipped, every file cut at every sector, every file deleted, every two of a sort swapped, and
/// those of another store in place of each. Of a store that was killed every byte of the log.
pub fn rot(density: u64, part: (u64, u64)) -> Swept {
    let stores = || -> Result<_, String> {
        let closed = Subject::new(&Plan::reference(STEPS, None), false)?;
        let other = run_to_machine(&Plan { seed: OTHER_SEED, ..Plan::reference(STEPS, None) }, true);
        Ok((closed, Subject::killed()?, other.map_err(|e| e.to_string())?))
    };
    let (closed, killed, other) = match stores() {
        Ok(stores) => stores,
        Err(e) => return Swept { tried: 1, failures: vec![format!("the store itself: {e}")], ends: Vec::new() },
    };
    let mut all: Vec<(&Subject, Harm)> = Vec::new();
    all.extend(harms(&closed.machine.disk.state(), density).into_iter().map(|harm| (&closed, harm)));
    let foreign = foreign(&closed.machine.disk.state(), &other.disk.state().files());
    all.extend(foreign.into_iter().map(|harm| (&closed, harm)));
    all.extend(flips_of_the_log(&killed.machine.disk.state(), density).into_iter().map(|harm| (&killed, harm)));
    let all = part_of(all.into_iter(), part);
    let (told, healed, harmless) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures = each(all.len() as u64, |i| {
        let (subject, harm) = &all[i as usize];
        let tried = catch_unwind(AssertUnwindSafe(|| attempt(subject, harm)));
        match tried {
            Ok(Ok(end)) => {
                let counter = match end {
                    End::Told => &told,
                    End::Healed => &healed,
                    End::Harmless => &harmless,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                None
            }
            Ok(Err(what)) => Some(format!("{harm:?}: {what}")),
            Err(_) => Some(format!("{harm:?}: a panic")),
        }
    });
    let ends = vec![("told", told.into_inner()), ("healed", healed.into_inner()), ("harmless", harmless.into_inner())];
    Swept { tried: all.len() as u64, failures, ends }
}

fn flips_of_the_log(state: &State, density: u64) -> Vec<Harm> {
    let files = state.files().into_iter().filter(|(path, _)| path.ends_with(".log"));
    let flips = files.flat_map(|(path, bytes)| {
        let ats = (0..bytes.len() as u64).step_by(density as usize);
        ats.map(move |at| Harm::Flip(path.clone(), at, (at % 8) as u32))
    });
    flips.collect()
}

fn harms(state: &State, density: u64) -> Vec<Harm> {
    let files: Vec<(String, u64)> = state.files().into_iter().map(|(path, bytes)| (path, bytes.len() as u64)).collect();
    let mut out = Vec::new();
    for (path, len) in &files {
        out.extend((0..*len).step_by(density as usize).map(|at| Harm::Flip(path.clone(), at, (at % 8) as u32)));
        // Of a header every bit.
        out.extend((0..len.min(&64) * 8).map(|bit| Harm::Flip(path.clone(), bit / 8, (bit % 8) as u32)));
        out.extend((0..len.div_ceil(SECTOR_BYTES)).map(|sector| Harm::Cut(path.clone(), sector * SECTOR_BYTES)));
        out.push(Harm::Lose(path.clone()));
        let alike = |other: &str| Path::new(other).extension() == Path::new(path).extension() && other > path.as_str();
        let others = files.iter().filter(|(other, _)| alike(other));
        out.extend(others.map(|(other, _)| Harm::Swap(path.clone(), other.clone())));
    }
    out
}

/// In the place of each file each of its sort that another store has.
fn foreign(state: &State, other: &[(String, &[u8])]) -> Vec<Harm> {
    let mut out = Vec::new();
    for (path, _) in state.files() {
        let alike = other.iter().filter(|(other, _)| Path::new(other).extension() == Path::new(&path).extension());
        out.extend(alike.map(|(_, bytes)| Harm::Foreign(path.clone(), Foreign(Arc::new(bytes.to_vec())))));
    }
    out
}

fn attempt(subject: &Subject, harm: &Harm) -> Result<End, String> {
    let Subject { machine, expected, was_killed } = subject;
    let machine = Machine { disk: machine.disk.fork(), ..machine.clone() };
    do_harm(&machine.disk, harm).map_err(|e| e.to_string())?;
    match everything(&machine) {
        Ok(found) if found == *expected => Ok(End::Harmless),
        // Nobody can tell whether the last cycle was ever finished.
        Ok(found) if *was_killed && found.lacks_only_the_last_of(expected) => Ok(End::Harmless),
        Ok(found) => {
            let items = conformance::digest::difference(&expected.items, &found.items);
            Err(items.unwrap_or_else(|| "the change feed differs".into()))
        }
        Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Stopped | Kind::Busy) => {
            let is_derived = |path: &str| !path.ends_with(".log") && !path.ends_with(".segment");
            match harm {
                // Made again, or there twice.
                Harm::Flip(path, ..) | Harm::Cut(path, _) | Harm::Lose(path) if is_derived(path) => {
                    Err(format!("nothing is lost, and the store says {e}"))
                }
                Harm::Flip(..) if !was_killed => healed(&machine, expected, &e),
                _ => Ok(End::Told),
            }
        }
        Err(e) => Err(format!("an error of another kind: {e}")),
    }
}

/// Of a store that was closed everything is covered: what one flipped bit damages is healed when somebody asks for it.
fn healed(machine: &Machine, expected: &Content, told: &Error) -> Result<End, String> {
    let setup = Setup { repairs: true, ..machine.setup.clone() };
    match everything(&Machine { setup, ..machine.clone() }) {
        Ok(found) if found == *expected => Ok(End::Healed),
        Ok(_) => Err(format!("what repair makes of it is not what it was: {told}")),
        Err(e) => Err(format!("it is not healed: {e}; at first: {told}")),
    }
}

fn do_harm(disk: &SimDisk, harm: &Harm) -> std::io::Result<()> {
    let mut state = disk.state();
    match harm {
        Harm::Flip(path, at, bit) => state.tamper(Path::new(path), |bytes| bytes[*at as usize] ^= 1 << bit),
        Harm::Cut(path, len) => state.tamper(Path::new(path), |bytes| bytes.truncate(*len as usize)),
        Harm::Lose(path) => state.lose(Path::new(path)),
        Harm::Foreign(path, Foreign(bytes)) => state.tamper(Path::new(path), |b| b.clone_from(bytes)),
        Harm::Swap(path, other) => {
            let bytes =
                state.files().into_iter().find(|(p, _)| p == other).map(|(_, b)| b.to_vec()).unwrap_or_default();
            let mut taken = Vec::new();
            state.tamper(Path::new(path), |b| taken = std::mem::replace(b, bytes))?;
            state.tamper(Path::new(other), |b| *b = taken)
        }
    }
}

/// All that a store has: its state, with its events, and what led to it.
#[derive(PartialEq)]
struct Content {
    items: Vec<SnapshotItem>,
    changes: Vec<Change>,
}

impl Content {
    fn lacks_only_the_last_of(&self, whole: &Self) -> bool {
        whole.changes.split_last().is_some_and(|(_, before)| self.changes == before)
    }
}

/// Opens the store, reads all of it, and lets it go.
fn everything(machine: &Machine) -> Result<Content, Error> {
    let engine = machine.open()?;
    let mut rng = Rng::new(1);
    let db = Arc::clone(&engine.db);
    let read = async move {
        let items = held::items(db.snapshot().await?).await?;
        Ok(Content { items, changes: db.changes(Pos(0), 100_000, usize::MAX).await? })
    };
    let stuck = |_| Error::new(backend_api::Reason::BadRequest, "a snapshot is not answered");
    engine.wait(read, &mut rng, TURNS_MAX).map_err(stuck)?
}
