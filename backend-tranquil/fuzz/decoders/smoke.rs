//! The fuzz targets without a fuzzer: what is kept in `corpus`, the golden files, and their mutations, always the same ones.
//! `FUZZ_ROUNDS=100` goes on with others.

#[path = "../../../backend-api/fuzz/mutate.rs"]
mod mutate;

use std::path::{Path, PathBuf};

use super::{DECODERS, golden};
use crate::format::header::HEADER_BYTES;
use mutate::mutated;

const MUTATIONS: usize = 6_000;
/// Of those that make whole files of them.
const MUTATIONS_OF_FILES: usize = 1_200;
const OF_FILES: [&str; 6] = ["log", "hint", "segment", "index", "snapshot", "sidecar"];

/// Files in a folder of this crate, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    files
}

/// Well-formed inputs of every sort, and pieces of them: each decoder gets all of them.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for file in files("golden") {
        let bytes = golden(&std::fs::read_to_string(&file).expect("a golden file can be read"));
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        match () {
            // Behind the file's header, and the frame's.
            () if name.starts_with("file-") => seeds.push(bytes.get(HEADER_BYTES..).unwrap_or_default().to_vec()),
            () if name.starts_with("frame-") => seeds.push(bytes[12..].to_vec()),
            () => {}
        }
        seeds.push(bytes);
    }
    assert!(seeds.len() > 60, "{} seeds", seeds.len());
    seeds
}

/// SplitMix64.
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[test]
fn no_bytes_make_a_decoder_panic_or_lie() {
    let seeds = seeds();
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(1, |text| text.parse().expect("FUZZ_ROUNDS is a number"));
    for (name, decoder) in DECODERS {
        let kept = files(&format!("fuzz/corpus/{name}"));
        println!("{name}: {} kept", kept.len());
        kept.iter().for_each(|file| decoder(&std::fs::read(file).expect("the corpus can be read")));
        seeds.iter().for_each(|seed| decoder(seed));
        let mutations = if OF_FILES.contains(name) { MUTATIONS_OF_FILES } else { MUTATIONS };
        for round in 0..rounds {
            let mut next = numbers(0x5eed + round);
            (0..mutations).for_each(|_| decoder(&mutated(&mut next, &seeds)));
        }
    }
}
