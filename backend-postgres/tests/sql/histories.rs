//! Random histories: the SQL engine and the in-memory model answer alike in everything.

use crate::common::{OPTIONS, PostgresFixture};
use conformance::ModelFixture;
use conformance::history::differential;

fn compare(seeds: std::ops::RangeInclusive<u64>) {
    if !postgres_fixture::available() {
        return;
    }
    for seed in seeds {
        differential(|| ModelFixture::new(OPTIONS), PostgresFixture::new, seed, 250);
    }
}

// Four tests, so that they run beside each other: 20,000 steps, and 16,000 of the embedded engine.

#[test]
fn conformance_histories() {
    compare(1..=20);
}

#[test]
fn conformance_histories_of_other_seeds() {
    compare(21..=40);
}

#[test]
fn conformance_histories_of_more_seeds() {
    compare(41..=60);
}

#[test]
fn conformance_histories_of_yet_more_seeds() {
    compare(61..=80);
}
