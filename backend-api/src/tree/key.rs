//! Keys of the tree.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, Reason, Result};
use crate::ids::RecordPath;

/// A key of a repository's tree, as the tree itself demands it: two non-empty parts of `A-Za-z0-9._:~-` with a slash
/// between them, at most 1,024 bytes. Laxer than [`RecordPath`], which also asks for an NSID before the slash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes (the bound of the reference implementation).
    pub const BYTES_MAX: usize = 1024;

    /// Checks and keeps a key.
    ///
    /// # Errors
    /// [`Reason::BadTree`] with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Err(Error::new(Reason::BadTree, format!("tree key {text:.80?} {why}")));
        if text.len() > Self::BYTES_MAX {
            return bad("is longer than 1,024 bytes");
        }
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:~-".contains(&b));
        match text.split_once('/') {
            Some((collection, rkey)) if is_part(collection) && is_part(rkey) => Ok(Self(text.into())),
            _ => bad("is not two parts of letters, digits and ._:~- with a slash between them"),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The layer of the tree that the key belongs to.
    #[must_use]
    pub fn layer(&self) -> u32 {
        layer(self.0.as_bytes())
    }
}

/// Half the number of leading zero bits of the SHA-256 of `key`, which gives a fanout of four.
/// At most [`LAYER_MAX`], if all are zero. <https://atproto.com/specs/repository#mst-structure>
#[must_use]
pub fn layer(key: &[u8]) -> u32 {
    let digest = Sha256::digest(key);
    let zero_bytes = digest.iter().take_while(|byte| **byte == 0).count();
    let more_bits = digest.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    (zero_bytes as u32 * 8 + more_bits) / 2
}

/// The highest layer there can be.
pub const LAYER_MAX: u32 = 128;

/// Length of the longest common prefix, in bytes.
#[must_use]
pub fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(l, r)| l == r).count()
}

impl From<&RecordPath> for Key {
    fn from(path: &RecordPath) -> Self {
        // Every record path is a key: its parts have fewer characters to choose from, and its length is at most 830.
        Self(path.as_str().into())
    }
}

impl TryFrom<&Key> for RecordPath {
    type Error = Error;

    fn try_from(key: &Key) -> Result<Self> {
        key.as_str().parse()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
