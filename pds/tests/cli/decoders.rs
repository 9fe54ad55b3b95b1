//! The fuzz target without a fuzzer: what is kept in its corpus, whole files, and their mutations, always the same ones.

#[path = "../../../backend-api/fuzz/mutate.rs"]
mod mutate;
#[path = "../../fuzz/decoders.rs"]
mod properties;

use std::path::Path;

use crate::support::{Repo, fixture};
use mutate::mutated;

const MUTATIONS: usize = 4_000;

/// Small repositories: with nothing, a little, and a tree of several nodes.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [0, 1, 3, 25].map(|records| Repo::new("seed", records).car()).into();
    seeds.extend(["empty.car", "tiny.car"].iter().filter_map(|name| {
        let path = fixture(name)?;
        Some(std::fs::read(path).expect("a fixture can be read"))
    }));
    seeds
}

#[test]
fn no_bytes_make_the_importer_panic_or_lie() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/import");
    for file in std::fs::read_dir(&kept).into_iter().flatten() {
        let path = file.expect("a folder can be read").path();
        properties::import(&std::fs::read(path).expect("the corpus can be read"));
    }
    let seeds = seeds();
    seeds.iter().for_each(|seed| properties::import(seed));
    let mut state = 0x5eed_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..MUTATIONS {
        properties::import(&mutated(&mut next, &seeds));
    }
}
