//! DAG-CBOR in its one canonical form (<https://ipld.io/specs/codecs/dag-cbor/spec/>): the same value always has the
//! same bytes, and so the same CID.
//!
//! [`Writer`] and [`Reader`] are for the shapes that this store knows by heart (tree nodes, commits, frames, CAR
//! headers): no tree of values is built. [`decode`] and [`encode`] are for any type of Serde.

mod reader;
mod writer;

use std::fmt;

use ipld_core::ipld::Ipld;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use reader::Reader;
pub use writer::Writer;

use crate::error::{Error, Reason};

/// The tag of a CID link.
const TAG_LINK: u64 = 42;

/// Bytes that are not canonical DAG-CBOR, or not of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where in the bytes.
    pub offset: usize,
    /// What is wrong there.
    pub what: Box<str>,
}

impl Malformed {
    /// A fault at `offset`.
    #[must_use]
    pub fn new(offset: usize, what: impl Into<Box<str>>) -> Self {
        Self { offset, what: what.into() }
    }

    /// The fault as an error of the contract; `subject` says what the bytes were meant to be.
    #[must_use]
    pub fn into_error(self, reason: Reason, subject: impl fmt::Display) -> Error {
        Error::new(reason, format!("{subject}: {self}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for Malformed {}

/// Decodes `bytes`, which must be the canonical encoding of what they mean, to the last byte.
///
/// # Errors
/// [`Malformed`] if they are not of type `T`, or if encoding the value again gives other bytes.
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, Malformed> {
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| Malformed::new(0, e.to_string()))?;
    let again = encode(&value)?;
    if again == bytes {
        return Ok(value);
    }
    let offset = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(Malformed::new(offset, "not the canonical encoding"))
}

/// Encodes a value.
///
/// # Errors
/// [`Malformed`] for what DAG-CBOR cannot hold, such as a float that is not finite.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Malformed> {
    serde_ipld_dagcbor::to_vec(value).map_err(|e| Malformed::new(0, e.to_string()))
}

/// Checks that `bytes` are one canonical DAG-CBOR value, of any shape, such as a record.
///
/// # Errors
/// [`Malformed`] if they are not, or if they nest deeper than the decoder's bound (about 250).
pub fn check(bytes: &[u8]) -> Result<(), Malformed> {
    decode::<Ipld>(bytes).map(drop)
}
