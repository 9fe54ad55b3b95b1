//! What must hold for any bytes at all, decoder by decoder. Run by the fuzz targets beside this folder, and with mutated
//! seeds by [`smoke`](self). Only there when it is asked for: with the feature `fuzzing`, or in tests.
//!
//! Bytes are tried as they are, which a checksum mostly ends, and once more with their checksums made right: so what is
//! behind a checksum sees damage as well.

mod events;
mod files;
mod fixed;
mod log;
mod memory;
#[cfg(test)]
mod smoke;
mod stored;

pub use events::{index, segment};
pub use files::{sidecar, snapshot};
pub use fixed::{frame, header, parity};
pub use log::{hint, log};
pub use stored::{intent, key, maintenance, value};

use crate::format::StoreId;

/// A decoder: its name, and what must hold.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub const DECODERS: &[Decoder] = &[
    ("header", header),
    ("frame", frame),
    ("intent", intent),
    ("maintenance", maintenance),
    ("key", key),
    ("value", value),
    ("parity", parity),
    ("log", log),
    ("hint", hint),
    ("segment", segment),
    ("index", index),
    ("snapshot", snapshot),
    ("sidecar", sidecar),
];

/// The store of the golden files.
const STORE: StoreId = StoreId([0xa5; 16]);

/// Bytes of a golden file: what its lines have between offset and text.
fn golden(dump: &str) -> Vec<u8> {
    let line = |line: &str| line.get(6..53).unwrap_or_default().trim().to_owned();
    let byte = |hex: &str| u8::from_str_radix(hex, 16).expect("a golden file has hexadecimal bytes");
    dump.lines().flat_map(|l| line(l).split(' ').map(byte).collect::<Vec<_>>()).collect()
}
