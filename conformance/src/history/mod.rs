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

use crate::fixture::Fixture;

pub use compare::everything;
pub use run::{Difference, Summary, run};
pub use step::{Intent, Note, Step, generate};
pub use world::{After, Person, World};

/// Runs one history on two stores and compares every answer, and every so often everything that can be read.
///
/// # Panics
/// If they differ: with the first difference, the seed, and the shortest history found that still shows one.
pub fn differential<A: Fixture, B: Fixture>(a: impl Fn() -> A, b: impl Fn() -> B, seed: u64, steps: usize) {
    let history = generate(seed, steps);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let fails = |history: &[Step]| runtime.block_on(run(a(), b(), history)).err();
    let Some(first) = fails(&history) else { return };
    let (shrunk, last) = shrink::shrink(history, first.clone(), fails);
    panic!("seed {seed}: {first}\n\nshrunk to {} steps: {last}\n{shrunk:#?}", shrunk.len());
}
