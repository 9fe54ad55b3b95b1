//! Files that change behind the engine's back: detected or harmless, never a wrong answer, never a panic.

use std::collections::BTreeMap;
use std::ffi::OsStr;
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
use crate::world::{DIRECTORY, Machine, run_to_machine};

/// Steps of people in the store that is closed.
const STEPS: usize = 1_380;
/// Bytes that it has at least, beside the reserve.
const BYTES_MIN: u64 = 1 << 20;
/// Sorts of files, all of which it has: the directory and how the name ends.
const SORTS: [&str; 11] = [
    "STORE",
    "STORE.copy",
    "events/index",
    "events/parity",
    "events/segment",
    "log/hint",
    "log/log",
    "log/parity",
    "reserve",
    "snapshots/parity",
    "snapshots/snapshot",
];
/// Steps of people in the store that is killed.
const STEPS_KILLED: usize = 180;
/// Of headers and sectors a sweep that is not in full tries so many for one byte of the rest.
const BITS: u64 = 20;
const SECTORS: u64 = 40;
/// Decides the identity of the other store.
const OTHER_SEED: u64 = 8;

/// What is done to the files.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Name, u64, u32),
    Cut(Name, u64),
    Lose(Name),
    Swap(Name, Name),
    Foreign(Name, Foreign),
}

/// There are more than a million places, in few files.
type Name = Arc<str>;

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
        let mut plan = Plan::reference(STEPS_KILLED, None);
        plan.setup = Setup { memtable_bytes: 1 << 20, cycle_mutations: 1, ..Setup::plain() };
        let is_quiet = |intents: &Vec<Intent>| {
            matches!(intents[..], [Intent::Create { .. } | Intent::PutBlob(_) | Intent::PutRow { .. }])
        };
        plan.acts.retain(|(_, act)| matches!(act, Act::Story(Step::Apply { intents, .. }) if is_quiet(intents)));
        Self::new(&plan, true)
    }
}

/// A run whose store has every sort of file and more than a few bytes of each, in files so large that there are not too
/// many pairs of them. At its end nothing is forgotten.
fn large() -> Plan {
    let mut plan = Plan::reference(STEPS, None);
    plan.setup =
        Setup { log_file_bytes: 16 << 10, segment_bytes: 16 << 10, snapshot_log_bytes: 16 << 10, ..plan.setup };
    // The last four acts forget; the first two of them.
    let forgets = plan.acts.len() - 4;
    plan.acts.drain(forgets..forgets + 2);
    plan
}

/// Every byte of every file flipped, every file cut at every sector, every file deleted, every two of a sort swapped, and
/// those of another store in place of each. Of a store that was killed every byte of the log.
pub fn rot(density: u64, part: (u64, u64)) -> Swept {
    let stores = || -> Result<_, String> {
        let closed = Subject::new(&large(), false)?;
        let other = run_to_machine(&Plan { seed: OTHER_SEED, ..large() }, true);
        Ok((closed, Subject::killed()?, other.map_err(|e| e.to_string())?))
    };
    let (closed, killed, other) = match stores() {
        Ok(stores) => stores,
        Err(e) => return Swept { tried: 1, failures: vec![format!("the store itself: {e}")], ..Swept::default() },
    };
    let sorts = sorts(&closed.machine.disk.state());
    let mut all: Vec<(&Subject, Harm)> = Vec::new();
    all.extend(harms(&closed.machine.disk.state(), density).into_iter().map(|harm| (&closed, harm)));
    let foreign = foreign(&closed.machine.disk.state(), &other.disk.state().files());
    all.extend(foreign.into_iter().map(|harm| (&closed, harm)));
    all.extend(flips_of_the_log(&killed.machine.disk.state(), density).into_iter().map(|harm| (&killed, harm)));
    let all = part_of(all.into_iter(), part);
    let (told, healed, harmless) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let mut failures = each(all.len() as u64, |i| {
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
    failures.extend(lacks(&sorts));
    let files = sorts.into_iter().map(|(sort, (files, bytes))| (sort, files, bytes)).collect();
    Swept { tried: all.len() as u64, failures, ends, files }
}

fn flips_of_the_log(state: &State, density: u64) -> Vec<Harm> {
    let files = state.files().into_iter().filter(|(path, _)| path.ends_with(".log"));
    let flips = files.flat_map(|(path, bytes)| {
        let (path, ats) = (Name::from(path), (0..bytes.len() as u64).step_by(density as usize));
        ats.map(move |at| Harm::Flip(Arc::clone(&path), at, (at % 8) as u32))
    });
    flips.collect()
}

/// Sorts of the files of a store, with their number and bytes.
fn sorts(state: &State) -> BTreeMap<String, (u64, u64)> {
    let mut out: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (path, bytes) in state.files() {
        let path = Path::new(path.strip_prefix(DIRECTORY).unwrap_or(&path)).strip_prefix("/").unwrap_or(Path::new("?"));
        let sort = match (path.parent().and_then(Path::to_str), path.extension().and_then(OsStr::to_str)) {
            (Some(directory), Some(end)) if !directory.is_empty() => format!("{directory}/{end}"),
            _ => path.display().to_string(),
        };
        let (files, sum) = out.entry(sort).or_default();
        (*files, *sum) = (*files + 1, *sum + bytes.len() as u64);
    }
    out
}

/// A sweep over a store that lacks a sort of file, or is too small, shows too little.
fn lacks(sorts: &BTreeMap<String, (u64, u64)>) -> Option<String> {
    let bytes: u64 = sorts.iter().filter(|(sort, _)| *sort != "reserve").map(|(_, (_, bytes))| bytes).sum();
    match SORTS.iter().find(|sort| sorts.get(**sort).is_none_or(|(_, bytes)| *bytes == 0)) {
        Some(sort) => Some(format!("the store has no {sort}, only {sorts:?}")),
        None => (bytes < BYTES_MIN).then(|| format!("the store has {bytes} bytes only: {sorts:?}")),
    }
}

fn harms(state: &State, density: u64) -> Vec<Harm> {
    let files: Vec<(Name, u64)> = state.files().into_iter().map(|(p, bytes)| (p.into(), bytes.len() as u64)).collect();
    let (bits, sectors) = (density.div_ceil(BITS) as usize, density.div_ceil(SECTORS) as usize);
    let mut out = Vec::new();
    for (n, (path, len)) in files.iter().enumerate() {
        let name = || Arc::clone(path);
        out.extend((0..*len).step_by(density as usize).map(|at| Harm::Flip(name(), at, (at % 8) as u32)));
        // Of a header every bit; of all files together if few are tried of each.
        let first = n % bits;
        out.extend((0..len.min(&64) * 8).skip(first).step_by(bits).map(|b| Harm::Flip(name(), b / 8, (b % 8) as u32)));
        let cuts = (0..len.div_ceil(SECTOR_BYTES)).step_by(sectors);
        out.extend(cuts.map(|sector| Harm::Cut(name(), sector * SECTOR_BYTES)));
        out.push(Harm::Lose(name()));
        let alike = |other: &str| Path::new(other).extension() == Path::new(&**path).extension() && *other > **path;
        let others = files.iter().filter(|(other, _)| alike(other));
        out.extend(others.map(|(other, _)| Harm::Swap(name(), Arc::clone(other))));
    }
    out
}

/// In the place of each file each of its sort that another store has.
fn foreign(state: &State, other: &[(String, &[u8])]) -> Vec<Harm> {
    let other: Vec<_> = other.iter().map(|(path, bytes)| (path, Foreign(Arc::new(bytes.to_vec())))).collect();
    let mut out = Vec::new();
    for (path, _) in state.files() {
        let path = Name::from(path);
        let alike = other.iter().filter(|(other, _)| Path::new(other).extension() == Path::new(&*path).extension());
        out.extend(alike.map(|(_, foreign)| Harm::Foreign(Arc::clone(&path), foreign.clone())));
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
        Harm::Flip(path, at, bit) => state.tamper(Path::new(&**path), |bytes| bytes[*at as usize] ^= 1 << bit),
        Harm::Cut(path, len) => state.tamper(Path::new(&**path), |bytes| bytes.truncate(*len as usize)),
        Harm::Lose(path) => state.lose(Path::new(&**path)),
        Harm::Foreign(path, Foreign(bytes)) => state.tamper(Path::new(&**path), |b| b.clone_from(bytes)),
        Harm::Swap(path, other) => {
            let bytes =
                state.files().into_iter().find(|(p, _)| **p == **other).map(|(_, b)| b.to_vec()).unwrap_or_default();
            let mut taken = Vec::new();
            state.tamper(Path::new(&**path), |b| taken = std::mem::replace(b, bytes))?;
            state.tamper(Path::new(&**other), |b| *b = taken)
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
