//! Random histories: the SQL engine and the in-memory model answer alike in everything.

mod common;

use common::{OPTIONS, PostgresFixture};
use conformance::ModelFixture;
use conformance::history::differential;

#[test]
fn conformance_histories() {
    if !postgres_fixture::available() {
        return;
    }
    for seed in 1..=12 {
        differential(|| ModelFixture::new(OPTIONS), PostgresFixture::new, seed, 250);
    }
}
