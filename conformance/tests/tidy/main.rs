//! The house rules, as tests: `cargo tidy`.
//!
//! Each rule is a function from text to complaints, and has beside it a test with a violation that it must find: a rule
//! that cannot fail is none. A complaint names file and line.

mod arrows;
mod crates;
mod dead_files;
mod documents;
mod formats;
mod lengths;
mod licences;
mod rooms;
mod source;
mod stored;
mod words;

use source::Source;

/// Fails with all complaints of a rule.
fn none(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}\n", complaints.join("\n  "));
}

/// Complaints of a rule about a text that is not in the repository.
fn about(path: &str, text: &str, rule: impl FnOnce(&Source) -> Vec<String>) -> Vec<String> {
    rule(&Source::new(path, text))
}
