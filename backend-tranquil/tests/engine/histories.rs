//! Random histories: the engine and the in-memory model answer alike in everything.

use crate::common::{OPTIONS, TranquilFixture};
use conformance::ModelFixture;
use conformance::history::differential;

fn compare(small: bool, seeds: std::ops::RangeInclusive<u64>) {
    for seed in seeds {
        differential(|| ModelFixture::new(OPTIONS), || TranquilFixture::new(small), seed, 250);
    }
}

#[test]
fn conformance_histories_with_the_default_sizes() {
    compare(false, 1..=32);
}

#[test]
fn conformance_histories_with_small_sizes() {
    compare(true, 101..=132);
}
