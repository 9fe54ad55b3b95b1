//! Every bug that is put in on purpose can still be put in: `cargo sim --mutants` shows that each is caught.

use std::collections::BTreeSet;

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

/// An invariant that no bug breaks may not be looked at.
#[test]
fn every_invariant_is_broken_by_a_bug() {
    let folder = workspace().join("backend-tranquil/sim/src/invariants");
    let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let stems = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let invariants: BTreeSet<String> = stems.filter(|stem| stem != "mod").collect();
    let mutants = all(&workspace()).expect("mutants that can be read");
    let broken: BTreeSet<String> = mutants.into_iter().filter_map(|mutant| mutant.breaks).collect();
    assert_eq!(broken, invariants);
}
