//! What was run, one line each, so that a long run can go on where it stopped.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::mutants::{Catcher, Tally, workspace};
use crate::runs::{Sort, Total};
use crate::sweep::{self, Swept};
use crate::watch::Watch;

/// Mixed runs of a release, and how many are noted together.
const MIXED: (u64, u64) = (100_000, 500);
/// Busy runs of a release, of some 24,000 commits each, and how many are noted together.
const BUSY: (u64, u64) = (4_300, 10);
/// Each sweep is run in so many parts.
pub const PARTS: u64 = 50;

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// A part of a sweep: every so-manyth place, beginning with that one.
pub type Part = (u64, u64);

/// Another file than the usual one.
pub fn set_path(path: String) {
    let _already = PATH.set(PathBuf::from(path));
}

pub(crate) fn path() -> PathBuf {
    PATH.get().cloned().unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
        target.join("sim-ledger.txt")
    })
}

/// The commit of the sources, as far as git tells.
#[must_use]
pub fn commit() -> String {
    let asked =
        std::process::Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).current_dir(workspace()).output();
    asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_else(|_| "unknown".into())
}

fn note(line: &str) -> Result<(), String> {
    let path = path();
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(told)?;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(told)?;
    writeln!(file, "{} {line}", commit()).map_err(told)
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(|e| format!("{}: {e}", path.display())),
    }
}

/// Lines of a sort: the commit, and the words behind the sort.
pub(crate) fn lines(ledger: &str, sort: &str) -> Vec<(String, Vec<String>)> {
    let words = ledger.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.filter(|w| w.get(1).is_some_and(|s| s == sort)).map(|w| (w[0].clone(), w[2..].to_vec())).collect()
}

/// Notes many seeds.
///
/// # Errors
/// If the file cannot be written.
pub fn note_seeds(first: u64, total: &Total, took: Duration) -> Result<(), String> {
    let sum = &total.sum;
    let sort = total.sort.words().0;
    let mut line = format!("{sort} {first} {} {} {}", total.runs, total.failures.len(), took.as_millis());
    for n in [sum.sent, sum.taken, sum.calls, sum.crashes, sum.opens, sum.compared, sum.healed, sum.older] {
        let _infallible = write!(line, " {n}");
    }
    for fired in &sum.fired {
        let _infallible = write!(line, " {fired}");
    }
    note(&line)
}

/// Notes a sweep with a density.
///
/// # Errors
/// If the file cannot be written.
pub fn note_sweep(name: &str, density: u64, swept: &Swept) -> Result<(), String> {
    note(&format!("sweep {name} {density} {} {}", swept.tried, swept.failures.len()))
}

/// Notes a part of a sweep in full.
///
/// # Errors
/// If the file cannot be written.
pub fn note_part(name: &str, part: Part, swept: &Swept) -> Result<(), String> {
    note(&format!("part {name} {} {} {}", part.0, swept.tried, swept.failures.len()))
}

/// Notes the mutation gate.
///
/// # Errors
/// If the file cannot be written.
pub fn note_mutants(tally: &Tally, took: Duration) -> Result<(), String> {
    let mut line = format!("mutants {} {} {}", tally.caught(), tally.tried, took.as_secs());
    for sort in Catcher::SORTS {
        let _infallible = write!(line, " {}", tally.caught.get(sort).copied().unwrap_or(0));
    }
    note(&line)
}

/// How far a long run may go, and what it has to do.
pub struct Bounds {
    watch: Watch,
    time: Option<Duration>,
    commit: String,
}

impl Bounds {
    /// So many minutes, or until all is done.
    #[must_use]
    pub fn new(minutes: Option<u64>) -> Self {
        Self { watch: Watch::start(), time: minutes.map(|m| Duration::from_secs(m * 60)), commit: commit() }
    }

    fn of(&self, sort: &str) -> Result<Vec<Vec<String>>, String> {
        let all = lines(&read(&path())?, sort).into_iter();
        Ok(all.filter(|(commit, _)| *commit == self.commit).map(|(_, words)| words).collect())
    }

    /// True if a part of the time is over; seeds have three quarters of it, the sweeps the rest.
    fn is_over(&self, quarters: u32) -> bool {
        self.time.is_some_and(|time| self.watch.elapsed() >= time * quarters / 4)
    }

    /// The next seeds that this commit has not run: of which sort, the first, and how many. The two sorts take turns.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_seeds(&self) -> Result<Option<(Sort, u64, u64)>, String> {
        let mut next = Vec::new();
        for (sort, (all, step)) in [(Sort::Mixed, MIXED), (Sort::Busy, BUSY)] {
            let done = self.of(sort.words().0)?;
            // Somebody may have run a few of them by hand.
            let number = |words: &[String], i: usize| words.get(i).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
            let is_done = |first: &u64| done.iter().any(|w| number(w, 0) == *first && number(w, 1) >= step);
            let first = (0..all / step).map(|n| 1 + n * step).find(|first| !is_done(first));
            next.extend(first.map(|first| (first * 1_000 / all, (sort, first, step))));
        }
        Ok(next.into_iter().min_by_key(|(part, _)| *part).map(|(_, next)| next).filter(|_| !self.is_over(3)))
    }

    /// The next part of a sweep that this commit has not run.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_sweep(&self) -> Result<Option<(&'static str, Part)>, String> {
        let done = self.of("part")?;
        let is_done = |name: &str, n: u64| done.iter().any(|w| w[0] == name && w[1] == n.to_string());
        let mut all = (0..PARTS).flat_map(|n| sweep::NAMES.map(|name| (name, (n, PARTS))));
        Ok(all.find(|(name, part)| !is_done(name, part.0)).filter(|_| !self.is_over(4)))
    }
}
