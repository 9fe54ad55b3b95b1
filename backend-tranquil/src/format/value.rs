//! Stored values: a version byte, then the fields of a frozen struct in postcard's encoding.
//!
//! Version 1 of each is the struct of the contract as it is; golden bytes in the tests keep it so. A struct that changes
//! is kept here in its old form under its old version.

use backend_api::{Error, Reason, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// Encodes a value.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    append(&mut out, value);
    out
}

/// Appends a value, encoded.
pub fn append<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    out.push(VERSION);
    let taken = std::mem::take(out);
    *out = postcard::to_extend(value, taken).expect("plain structs always serialize into memory");
}

/// Decodes a value, to its last byte. `what` names it in the error.
///
/// # Errors
/// [`Reason::DataCorrupt`] for anything else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    let bad = |why: &str| Error::new(Reason::DataCorrupt, format!("metadata: {what}: {why}"));
    match bytes {
        [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(bad("bytes after the end")),
            Err(e) => Err(bad(&e.to_string())),
        },
        [version, ..] => Err(bad(&format!("version {version}, this program reads version {VERSION}"))),
        [] => Err(bad("no bytes")),
    }
}

/// Where a block's frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of the log file.
    pub file: u32,
    /// Offset of the frame.
    pub offset: u64,
    /// Length of the block's bytes.
    pub len: u32,
}

/// What is stored of a block of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockValue {
    /// References.
    pub refs: u64,
    /// Where its bytes are.
    pub place: Place,
    /// Position of the last mutation that took a reference away; 0 if none did.
    pub released: u64,
}

/// How far the log is absorbed in the state that holds this value: written with the same atomic step as the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The newest mutation.
    pub pos: u64,
    /// Its time.
    pub at: u64,
    /// The newest event.
    pub seq: u64,
    /// The newest cycle.
    pub cycle: u64,
    /// The chain after it.
    pub chain: u32,
    /// The log file in which the next cycle starts.
    pub file: u32,
    /// The offset at which it starts.
    pub offset: u64,
}

/// How far the release of history has read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReleaseCursor {
    /// The newest mutation whose window has passed and that was worked off.
    pub pos: u64,
    /// The log file of the next cycle to read.
    pub file: u32,
    /// Its offset.
    pub offset: u64,
    /// The cycle before it.
    pub cycle: u64,
    /// The chain after that one.
    pub chain: u32,
    /// Entries of that next cycle that were worked off already.
    pub done: u32,
}
