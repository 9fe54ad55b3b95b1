//! `docs/reliability.md`, from the lines of the ledger.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::disk::Fault;
use crate::ledger::{self, PARTS, lines, read};
use crate::mutants::{Catcher, workspace};
use crate::runs::Sort;

const HEAD: &str = include_str!("reliability-head.txt");
const FOUND: &str = include_str!("reliability-found.txt");

/// Takes what was run over into the ledger that is kept with the sources, and writes `docs/reliability.md` from that.
///
/// # Errors
/// If a ledger cannot be read, or the page not written.
pub fn report() -> Result<(), String> {
    let docs = workspace().join("docs");
    let kept = docs.join("reliability-ledger.txt");
    let mut all = read(&kept)?;
    for line in read(&ledger::path())?.lines() {
        if !all.lines().any(|there| there == line) {
            all += &format!("{line}\n");
        }
    }
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()));
    write(&kept, &all)?;
    write(&docs.join("reliability.md"), &page(&all))
}

/// `docs/reliability.md`, from a ledger.
#[must_use]
pub fn page(ledger: &str) -> String {
    let mut page = String::from(HEAD);
    seeds_of(ledger, &mut page);
    sweeps_of(ledger, &mut page);
    let by: Vec<String> = Catcher::SORTS.iter().map(|sort| format!("by {sort}")).collect();
    let columns = [&["caught", "of", "s"], &by.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    table(ledger, &mut page, "Bugs put in on purpose", "mutants", &columns);
    // Neither is a part of this program: their lines are written by hand.
    table(ledger, &mut page, "Processes killed", "kills", &["test", "kills", "acknowledged commits", "failed"]);
    table(ledger, &mut page, "Fuzzing", "fuzz", &["target", "inputs", "found"]);
    page += "\n";
    page += FOUND;
    page
}

/// A table of the lines of a sort: their words are its columns.
fn table(ledger: &str, page: &mut String, title: &str, sort: &str, columns: &[&str]) {
    *page += &format!("\n## {title}\n\n| commit | {} |\n|---{}|\n", columns.join(" | "), "|---".repeat(columns.len()));
    for (commit, words) in lines(ledger, sort) {
        *page += &format!("| `{commit}` | {} |\n", words.join(" | "));
    }
}

fn seeds_of(ledger: &str, page: &mut String) {
    let mut fired = vec![0_u64; Fault::ALL.len()];
    for (sort, title) in [(Sort::Mixed, "Random runs"), (Sort::Busy, "Busy runs: thousands of commits each")] {
        let _infallible = write!(
            page,
            "\n## {title}\n\n| commit | seeds | failed | mutations sent | taken | disk calls | crashes | opens | \
             comparisons | files restored | ended older | taken a second |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for (commit, n) in runs_of(ledger, sort, &mut fired) {
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
}

/// The sums of each commit's runs; what fired is added.
fn runs_of(ledger: &str, sort: Sort, fired: &mut [u64]) -> Vec<(String, Vec<u64>)> {
    let mut rows: Vec<(String, Vec<u64>)> = Vec::new();
    for (commit, words) in lines(ledger, sort.words().0) {
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
    rows
}

fn sweeps_of(ledger: &str, page: &mut String) {
    *page += "\n## Sweeps\n\n| commit | sweep | places | tried | failed |\n|---|---|---|---|---|\n";
    for (commit, words) in lines(ledger, "sweep") {
        let places = if words[1] == "1" { "all".to_owned() } else { format!("one in {}", words[1]) };
        let _infallible = writeln!(page, "| `{commit}` | {} | {places} | {} | {} |", words[0], words[2], words[3]);
    }
    let mut parts: Vec<(String, String, [u64; 3])> = Vec::new();
    for (commit, words) in lines(ledger, "part") {
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
}
