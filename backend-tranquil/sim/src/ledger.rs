//! What was run, one line each, so that a long run can go on where it stopped and the report says what was really done.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::disk::Fault;
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

fn path() -> PathBuf {
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

/// Lines of a sort: the commit, and the words behind the sort.
fn lines(sort: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let text = match fs::read_to_string(path()) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.map_err(|e| format!("{}: {e}", path().display()))?,
    };
    let words = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    Ok(words.filter(|w| w.get(1).is_some_and(|s| s == sort)).map(|w| (w[0].clone(), w[2..].to_vec())).collect())
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
        Ok(lines(sort)?.into_iter().filter(|(commit, _)| *commit == self.commit).map(|(_, words)| words).collect())
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

/// Writes `docs/reliability.md`.
///
/// # Errors
/// If the ledger cannot be read or the page not written.
pub fn report() -> Result<(), String> {
    let mut page = String::from(HEAD);
    seeds_of(&mut page)?;
    sweeps_of(&mut page)?;
    let mut rows = String::new();
    for (commit, words) in lines("mutants")? {
        let by: Vec<&str> = (3..7).map(|i| words.get(i).map_or("", String::as_str)).collect();
        let seconds = words.get(2).map_or("", String::as_str);
        let _infallible =
            writeln!(rows, "| `{commit}` | {} of {} | {} | {seconds} |", words[0], words[1], by.join(" | "));
    }
    let _infallible = writeln!(
        page,
        "\n## Bugs put in on purpose\n\n| commit | caught | by {} | s |\n|---|---|---|---|---|---|---|",
        Catcher::SORTS.join(" | by ")
    );
    page += if rows.is_empty() { "| not run yet | | | | | | |\n" } else { &rows };
    fuzzed(&mut page)?;
    page += "\n";
    page += FOUND;
    let path = workspace().join("docs/reliability.md");
    fs::write(&path, page).map_err(|e| format!("{}: {e}", path.display()))
}

/// What `cargo fuzz` did. It is no part of this program: a line `<commit> fuzz <target> <inputs> <found>` is written by hand.
fn fuzzed(page: &mut String) -> Result<(), String> {
    *page += "\n## Fuzzing\n\n| commit | target | inputs | found |\n|---|---|---|---|\n";
    for (commit, words) in lines("fuzz")?.iter().filter(|(_, words)| words.len() == 3) {
        let _infallible = writeln!(page, "| `{commit}` | {} | {} | {} |", words[0], words[1], words[2]);
    }
    Ok(())
}

const HEAD: &str = include_str!("reliability-head.txt");
const FOUND: &str = include_str!("reliability-found.txt");

fn seeds_of(page: &mut String) -> Result<(), String> {
    let mut fired = vec![0_u64; Fault::ALL.len()];
    for (sort, title) in [(Sort::Mixed, "Random runs"), (Sort::Busy, "Busy runs: thousands of commits each")] {
        let _infallible = write!(
            page,
            "\n## {title}\n\n| commit | seeds | failed | mutations sent | taken | disk calls | crashes | opens | \
             comparisons | files restored | ended older | taken a second |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for (commit, n) in runs_of(sort, &mut fired)? {
            let rate = n[4] * 1_000 / n[2].max(1);
            let _infallible = writeln!(
                page,
                "| `{commit}` | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {rate} |",
                n[0], n[1], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10]
            );
        }
    }
    *page += "\n### Faults that fired\n\n| fault | times |\n|---|---|\n";
    for fault in Fault::ALL {
        let _infallible = writeln!(page, "| {} | {} |", fault.name(), fired[*fault as usize]);
    }
    Ok(())
}

/// The sums of each commit's runs; what fired is added.
fn runs_of(sort: Sort, fired: &mut [u64]) -> Result<Vec<(String, Vec<u64>)>, String> {
    let mut rows: Vec<(String, Vec<u64>)> = Vec::new();
    for (commit, words) in lines(sort.words().0)? {
        let numbers: Vec<u64> = words.iter().filter_map(|w| w.parse().ok()).collect();
        if numbers.len() != 12 + Fault::ALL.len() {
            continue;
        }
        fired.iter_mut().zip(&numbers[12..]).for_each(|(sum, n)| *sum += n);
        match rows.last_mut().filter(|(last, _)| *last == commit) {
            Some((_, sums)) => sums.iter_mut().zip(&numbers[1..12]).for_each(|(sum, n)| *sum += n),
            None => rows.push((commit, numbers[1..12].to_vec())),
        }
    }
    Ok(rows)
}

fn sweeps_of(page: &mut String) -> Result<(), String> {
    *page += "\n## Sweeps\n\n| commit | sweep | places | tried | failed |\n|---|---|---|---|---|\n";
    for (commit, words) in lines("sweep")? {
        let _infallible =
            writeln!(page, "| `{commit}` | {} | one in {} | {} | {} |", words[0], words[1], words[2], words[3]);
    }
    let mut parts: Vec<(String, String, [u64; 3])> = Vec::new();
    for (commit, words) in lines("part")? {
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
        let more = [1, number(2), number(3)];
        match parts.iter_mut().find(|(c, name, _)| *c == commit && *name == words[0]) {
            Some((_, _, sums)) => sums.iter_mut().zip(more).for_each(|(sum, n)| *sum += n),
            None => parts.push((commit, words[0].clone(), more)),
        }
    }
    for (commit, name, [done, tried, failed]) in parts {
        let _infallible = writeln!(page, "| `{commit}` | {name} | {done} of {PARTS} parts | {tried} | {failed} |");
    }
    Ok(())
}
