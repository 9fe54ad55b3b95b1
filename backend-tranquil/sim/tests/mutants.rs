//! Every bug that is put in on purpose can still be put in: `cargo sim --mutants` shows that each is caught.

use tranquil_sim::mutants::{all, sources, workspace};

/// Fewer than these would not say much.
const MUTANTS_MIN: usize = 60;

#[test]
fn every_mutant_still_applies() {
    let mutants = all(&workspace()).expect("mutants that can be read");
    assert!(mutants.len() >= MUTANTS_MIN, "{} mutants", mutants.len());
    let changed = sources(&workspace(), &mutants).map_err(|wrong| wrong.join("\n"));
    assert!(!changed.expect("places that are there once").is_empty());
}
