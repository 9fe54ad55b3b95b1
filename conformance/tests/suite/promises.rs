//! Every promise of the trait's documentation has a case, and every case a promise.

use std::collections::{BTreeMap, BTreeSet};

use conformance::CASES;

/// The files of the trait, by the names that `mod.rs` lists.
const FACETS: &[(&str, &str)] = &[
    ("mod", include_str!("../../../backend-api/src/backend/mod.rs")),
    ("accounts", include_str!("../../../backend-api/src/backend/accounts.rs")),
    ("blobs", include_str!("../../../backend-api/src/backend/blobs.rs")),
    ("blocks", include_str!("../../../backend-api/src/backend/blocks.rs")),
    ("changes", include_str!("../../../backend-api/src/backend/changes.rs")),
    ("firehose", include_str!("../../../backend-api/src/backend/firehose.rs")),
    ("maintenance", include_str!("../../../backend-api/src/backend/maintenance.rs")),
    ("records", include_str!("../../../backend-api/src/backend/records.rs")),
    ("repos", include_str!("../../../backend-api/src/backend/repos.rs")),
    ("rows", include_str!("../../../backend-api/src/backend/rows.rs")),
    ("snapshots", include_str!("../../../backend-api/src/backend/snapshots.rs")),
    ("writes", include_str!("../../../backend-api/src/backend/writes.rs")),
];

struct Promise {
    number: String,
    cases: Vec<String>,
}

/// The bullets `- **W1** text (`case_name`, `other_case`).` of one file. A bullet goes on until a line that is no
/// documentation, an empty one, or the next bullet.
fn promises(source: &str) -> Vec<Promise> {
    let mut bullets: Vec<String> = Vec::new();
    let mut open = false;
    for line in source.lines().map(str::trim) {
        let text = line.strip_prefix("///").or(line.strip_prefix("//!")).map_or("", str::trim);
        if text.starts_with("- **") {
            bullets.push(text.to_owned());
            open = true;
        } else if text.is_empty() || text.starts_with("- ") || !open {
            open = false;
        } else if let Some(bullet) = bullets.last_mut() {
            bullet.push(' ');
            bullet.push_str(text);
        }
    }
    bullets.iter().map(|bullet| promise(bullet)).collect()
}

fn promise(bullet: &str) -> Promise {
    let (number, text) = bullet.trim_start_matches("- **").split_once("**").expect("a number in bold");
    // Every code word that is a case's name in form; the names of types and reasons are not.
    let words = text.split('`').skip(1).step_by(2);
    let is_name =
        |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c));
    Promise { number: number.to_owned(), cases: words.filter(is_name).map(str::to_owned).collect() }
}

fn all() -> Vec<Promise> {
    FACETS.iter().flat_map(|(_, source)| promises(source)).collect()
}

#[test]
fn every_facet_is_read() {
    let listed: BTreeSet<&str> =
        FACETS[0].1.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let read: BTreeSet<&str> = FACETS.iter().skip(1).map(|(name, _)| *name).collect();
    assert_eq!(read, listed);
    for (name, source) in FACETS {
        assert!(!promises(source).is_empty(), "{name}.rs promises nothing");
    }
}

#[test]
fn every_number_is_given_once() {
    let mut seen = BTreeSet::new();
    for promise in all() {
        assert!(seen.insert(promise.number.clone()), "{} stands twice", promise.number);
    }
    assert!(seen.len() > 60);
}

#[test]
fn every_promise_names_cases_that_there_are() {
    let cases: BTreeMap<&str, &[&str]> = CASES.iter().map(|case| (case.name, case.promises)).collect();
    for Promise { number, cases: named } in all() {
        assert!(!named.is_empty(), "{number} names no case");
        for name in named {
            let shows = cases.get(name.as_str()).unwrap_or_else(|| panic!("{number} names {name}, which is no case"));
            assert!(shows.contains(&number.as_str()), "{name} is listed for {shows:?}, and {number} names it");
        }
    }
}

#[test]
fn every_case_shows_a_promise() {
    let numbers: BTreeSet<String> = all().into_iter().map(|promise| promise.number).collect();
    for case in CASES {
        for number in case.promises {
            assert!(numbers.contains(*number), "{} is listed for {number}, which nobody promises", case.name);
        }
    }
}

#[test]
fn every_name_is_given_once() {
    let mut seen = BTreeSet::new();
    for case in CASES {
        assert!(seen.insert(case.name), "{} stands twice", case.name);
    }
    assert!(seen.len() > 300, "{} cases", seen.len());
}
