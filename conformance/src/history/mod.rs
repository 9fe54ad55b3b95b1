//! Random histories: made from a seed, run on two stores, compared in everything, shrunk when they differ.
//!
//! A step says what is meant (`commit a note of the third account`), not what is sent; what is sent follows from what the
//! first store has taken before. So any step can be left out of a history and the rest still makes sense: at worst it is
//! refused, and then by both.

mod compare;
mod rng;
mod run;
mod shrink;
mod step;
mod world;

use std::fmt;

use crate::fixture::Fixture;

pub use compare::{Whom, everything};
pub use run::{Difference, Summary, run};
pub use shrink::shrink;
pub use step::{Fault, Intent, Note, Step, Want, generate};
pub use world::{After, Person, World};

/// A difference, and the shortest history found that still shows one.
#[derive(Debug, Clone)]
pub struct Found {
    /// The seed of the history.
    pub seed: u64,
    /// The difference that it showed first.
    pub first: Difference,
    /// The shrunk history.
    pub shrunk: Vec<Step>,
    /// What that one shows.
    pub last: Difference,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, first, shrunk, last } = self;
        write!(f, "seed {seed}: {first}\n\nshrunk to {} steps: {last}\n{shrunk:#?}", shrunk.len())
    }
}

/// Runs one history on two stores and compares every answer, and every so often everything that can be read.
///
/// # Errors
/// If they differ.
///
/// # Panics
/// If a store does; a fixture that cannot open one should.
pub fn compare<A: Fixture, B: Fixture>(
    a: impl Fn() -> A,
    b: impl Fn() -> B,
    seed: u64,
    steps: usize,
) -> Result<Summary, Box<Found>> {
    let history = generate(seed, steps);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let first = match runtime.block_on(run(a(), b(), &history, true)) {
        Ok(summary) => return Ok(summary),
        Err(first) => first,
    };
    let fails = |history: &[Step]| runtime.block_on(run(a(), b(), history, false)).err();
    let (shrunk, last) = shrink(history, first.clone(), fails);
    Err(Box::new(Found { seed, first, shrunk, last }))
}

/// The same, for tests.
///
/// # Panics
/// If they differ: with the first difference, the seed, and the shortest history found that still shows one.
pub fn differential<A: Fixture, B: Fixture>(a: impl Fn() -> A, b: impl Fn() -> B, seed: u64, steps: usize) {
    if let Err(found) = compare(a, b, seed, steps) {
        panic!("{found}");
    }
}
