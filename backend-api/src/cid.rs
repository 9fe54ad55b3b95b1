//! Content identifiers, in the one form that AT Protocol repositories use.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Error, Reason, Result};

/// What the bytes behind a CID are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Opaque bytes, such as a blob (multicodec `raw`).
    Raw = 0x55,
    /// A repository block: tree node, commit or record (multicodec `dag-cbor`).
    DagCbor = 0x71,
}

/// A CIDv1 with a SHA-256 digest, of codec [`Codec::DagCbor`] or [`Codec::Raw`]: the "blessed" formats of the AT
/// Protocol data model. Any other CID is refused when parsed. 33 bytes, `Copy`, ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cid {
    codec: Codec,
    digest: [u8; 32],
}

/// Half of the digest tells CIDs apart as well as the whole.
impl Hash for Cid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.digest;
        state.write_u128(u128::from_le_bytes(half));
    }
}

impl Cid {
    /// Length of [`Cid::to_key`], in bytes.
    pub const KEY_BYTES: usize = 33;
    /// Length of [`Cid::to_bytes`], in bytes.
    pub const BYTES: usize = 36;

    /// The CID of `bytes`. Costs one SHA-256 over them.
    #[must_use]
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        Self { codec, digest: Sha256::digest(bytes).into() }
    }

    /// The CID of a repository block.
    #[must_use]
    pub fn of_block(bytes: &[u8]) -> Self {
        Self::of(Codec::DagCbor, bytes)
    }

    /// From a codec and a digest that was computed elsewhere.
    #[must_use]
    pub const fn from_parts(codec: Codec, digest: [u8; 32]) -> Self {
        Self { codec, digest }
    }

    /// The codec.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The SHA-256 digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// True if `bytes` hash to this CID.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        Self::of(self.codec, bytes) == *self
    }

    /// The binary form, 36 bytes: version, codec, hash function, length, digest.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&[1, self.codec as u8, 0x12, 0x20]);
        out[4..].copy_from_slice(&self.digest);
        out
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`Reason::BadCid`] for anything but 36 bytes of a supported CID.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [1, codec, 0x12, 0x20, digest @ ..] => Self::from_code(*codec, digest),
            _ => Err(bad(format!("{} bytes that are no CIDv1 with SHA-256", bytes.len()))),
        }
    }

    /// The storage key form, 33 bytes: codec and digest.
    #[must_use]
    pub fn to_key(&self) -> [u8; Self::KEY_BYTES] {
        let mut out = [0; Self::KEY_BYTES];
        out[0] = self.codec as u8;
        out[1..].copy_from_slice(&self.digest);
        out
    }

    /// Reads the storage key form.
    ///
    /// # Errors
    /// [`Reason::BadCid`] for anything but 33 bytes with a supported codec.
    pub fn from_key(key: &[u8]) -> Result<Self> {
        match key {
            [codec, digest @ ..] => Self::from_code(*codec, digest),
            [] => Err(bad("an empty CID key".into())),
        }
    }

    fn from_code(codec: u8, digest: &[u8]) -> Result<Self> {
        let codec = match codec {
            0x55 => Codec::Raw,
            0x71 => Codec::DagCbor,
            other => return Err(bad(format!("codec 0x{other:02x} is neither dag-cbor nor raw"))),
        };
        let digest = digest.try_into().map_err(|_| bad(format!("a digest of {} bytes", digest.len())))?;
        Ok(Self { codec, digest })
    }
}

fn bad(detail: String) -> Error {
    Error::new(Reason::BadCid, detail)
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = BASE32_NOPAD.encode(&self.to_bytes());
        text.make_ascii_lowercase();
        write!(f, "b{text}")
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(body) = text.strip_prefix('b') else {
            return Err(bad(format!("{text:?} is not in lower-case base32 (multibase `b`)")));
        };
        if body.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad(format!("{text:?} has upper-case letters")));
        }
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|e| bad(format!("{text:?} is not base32: {e}")))?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { (self.codec as u8, self.digest).serialize(s) }
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error as _;
        if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(D::Error::custom)
        } else {
            let (codec, digest) = <(u8, [u8; 32])>::deserialize(d)?;
            Self::from_code(codec, &digest).map_err(D::Error::custom)
        }
    }
}
