//! Real processes, real files, the real key-value store: a process that writes is killed (`SIGKILL`, by itself) at the n-th
//! call that changes something on the disk, for every n, before the call, in the middle of a write, and after the call. After
//! each kill the store is opened with nothing between it and the disk, and compared with the model.
//!
//! A process runs the engine with its threads, so that what overlaps the story's steps (hint files, sidecars, copies of the
//! metadata) has another number from run to run; the n-th call of a run is counted over all threads.
//!
//! What a kill cannot show: it takes the process and nothing that the kernel has, so a missing sync, or a missing sync of a
//! directory, stays unseen here. The simulator has power cuts for that. Calls that the key-value store makes by itself are not
//! counted; kills come between them by chance, and before and after each ingestion.
//!
//! For the same reason the files are in memory where there is such a place and `TMPDIR` names no other: a sync costs nothing
//! there, and each call is tried. On a disk it is every few calls.
//!
//! ```sh
//! cargo test -p backend-tranquil kills::                 # every call in CI, else every third, on a disk every sixth
//! KILLS_STRIDE=1 cargo test -p backend-tranquil kills::  # every call
//! KILLS_CALL=120 cargo test -p backend-tranquil kills::  # that one
//! TMPDIR=/var/tmp cargo test -p backend-tranquil kills:: # on a disk
//! ```
//!
//! With a stride the first call is another one in each process, so that runs add up to all calls.

mod check;
mod disk;
mod life;
mod story;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use check::check;
use disk::{Death, Side};
use life::{Place, Told, killed};
use story::Story;

/// Files in memory.
const MEMORY: &str = "/dev/shm";
/// Every so-manyth call where nobody asks for another number.
const STRIDE: u64 = 3;
const STRIDE_ON_DISK: u64 = 6;
/// More failures tell nothing more.
const FAILURES_MAX: usize = 3;
/// The second process is killed at one of its first calls, of which opening has most.
const CALLS_OF_RECOVERY: u64 = 31;

/// The process that [`killed`] starts; by itself it does nothing.
#[test]
fn one_life() {
    life::live();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

fn is_in_memory() -> bool {
    std::env::var_os("TMPDIR").is_none() && std::path::Path::new(MEMORY).is_dir()
}

/// A directory of a run of its own.
fn directory() -> tempfile::TempDir {
    let made = if is_in_memory() { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Calls to be killed at, of so many.
fn calls(count: u64) -> Vec<u64> {
    if let Some(call) = number("KILLS_CALL") {
        return vec![call];
    }
    let stride = number("KILLS_STRIDE").unwrap_or(match (is_in_memory(), std::env::var_os("CI")) {
        (true, Some(_)) => 1,
        (true, None) => STRIDE,
        (false, _) => STRIDE_ON_DISK,
    });
    let first = u64::from(std::process::id()) % stride;
    eprintln!("{count} calls, every {stride}th from {} on", first + 1);
    (first + 1..=count).step_by(stride as usize).collect()
}

/// What a process asks of the disk that is not killed.
fn reference() -> Vec<String> {
    let directory = directory();
    let place = Place(directory.path().to_owned());
    assert!(!killed(&place, 0, Death::NONE).unwrap() && Told::of(&place).ended);
    std::fs::read_to_string(place.calls()).unwrap().lines().map(str::to_owned).collect()
}

/// One store: a process for each death, each going on where the one before it was killed; then the check.
async fn lives(story: &Story, deaths: &[Death]) -> Result<usize, String> {
    let directory = directory();
    let place = Place(directory.path().to_owned());
    let mut kills = 0;
    for death in deaths {
        let from = Told::of(&place).next();
        if from == story.steps.len() || !killed(&place, from, *death).map_err(|why| format!("{deaths:?}: {why}"))? {
            break;
        }
        kills += 1;
    }
    let told = Told::of(&place);
    let last = || std::fs::read_to_string(place.calls()).unwrap_or_default().lines().last().unwrap_or("").to_owned();
    check(story, &place, &told).await.map_err(|why| format!("{deaths:?}, killed at call {}: {why}", last()))?;
    Ok(kills)
}

/// Tries all, on all cores.
fn each(all: &[Vec<Death>]) {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let story = runtime().block_on(Story::new());
    let (next, kills, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let runtime = runtime();
        while let Some(deaths) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
            match runtime.block_on(lives(&story, deaths)) {
                Ok(more) => drop(kills.fetch_add(more, Ordering::SeqCst)),
                Err(why) => failures.lock().unwrap().push(why),
            }
            if failures.lock().unwrap().len() >= FAILURES_MAX {
                return;
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}\nKILLS_CALL=<n> repeats the calls that are named", failures.join("\n"));
    let kills = kills.into_inner();
    eprintln!("{kills} kills");
    // The last calls of the reference may be beyond the end of a run whose threads met otherwise.
    assert!(kills * 20 >= all.len() * 19, "{kills} of {} processes were killed", all.len());
}

#[test]
fn nothing_is_lost_or_doubled_at_whatever_call_it_is_killed() {
    let reference = reference();
    assert!(reference.len() > 300, "{} calls", reference.len());
    let is_write = |call: u64| reference.get(call as usize - 1).is_some_and(|line| line.contains(" write "));
    let deaths = |call| Side::ALL.map(|side| Death { call, side }).into_iter();
    let tried = |death: &Death| death.side != Side::Within || is_write(death.call);
    let all: Vec<Vec<Death>> =
        calls(reference.len() as u64).into_iter().flat_map(deaths).filter(tried).map(|death| vec![death]).collect();
    each(&all);
}

/// The process that recovers is killed as well.
#[test]
fn nothing_is_lost_or_doubled_when_it_is_killed_again_while_it_recovers() {
    let count = reference().len() as u64;
    let second = |call: u64| Death { call: call % CALLS_OF_RECOVERY + 1, side: Side::ALL[call as usize % 3] };
    let both = |call: u64| vec![Death { call, side: Side::ALL[call as usize % 2 * 2] }, second(call)];
    let all: Vec<Vec<Death>> = calls(count).into_iter().step_by(3).map(both).collect();
    each(&all);
}

/// A check that finds nothing would be no test.
#[tokio::test]
async fn the_check_finds_what_is_lost_and_what_was_never_written() {
    let story = Story::new().await;
    let directory = directory();
    let place = Place(directory.path().to_owned());
    assert!(killed(&place, 0, Death { call: 120, side: Side::After }).unwrap());
    let told = Told::of(&place);
    let next = told.next();
    assert!(next > 5 && next + 3 < story.steps.len(), "{next} steps were answered");
    let mut more = told.clone();
    // Three, of which one may have changed nothing.
    (next..next + 3).for_each(|i| drop(more.done.insert(i, story.expected[i].answer.clone())));
    let found = check(&story, &place, &more).await.unwrap_err();
    assert!(found.contains("what is there is none of"), "{found}");
    let mut fewer = told.clone();
    fewer.done.retain(|i, _| i + 3 < next);
    let found = check(&story, &place, &fewer).await.unwrap_err();
    assert!(found.contains("what is there is none of"), "{found}");
    let mut other = told.clone();
    other.done.insert(1, "something else".to_owned());
    assert!(check(&story, &place, &other).await.unwrap_err().contains("step 1 was answered with"));
    let mut seen = told.clone();
    seen.seen.insert(900, "a hash".to_owned());
    assert!(check(&story, &place, &seen).await.unwrap_err().contains("event 900 was seen"));
    let mut changed = told.clone();
    changed.seen.insert(1, "another hash".to_owned());
    assert!(check(&story, &place, &changed).await.unwrap_err().contains("is not what was seen"));
    check(&story, &place, &told).await.unwrap();
}
