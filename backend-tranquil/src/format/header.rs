//! The first 64 bytes of every file.
//!
//! | bytes | what |
//! |---|---|
//! | 0-7 | magic `TRANQSTR` |
//! | 8 | kind, see [`FileKind`] |
//! | 9 | format version, 1 |
//! | 10-11 | zero |
//! | 12-27 | store id |
//! | 28-35 | number of the file within its kind; of a sidecar, that of its file |
//! | 36-43 | base: first cycle (log, hint), first sequence number (events), position (snapshot) |
//! | 44-47 | chain checksum before the first cycle (log, hint); else zero |
//! | 48-59 | zero |
//! | 60-63 | CRC-32 of bytes 0-59 |

use std::path::Path;

use backend_api::{Error, Reason, Result};

use super::{StoreId, u32_at, u64_at};

/// Length of a header.
pub const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"TRANQSTR";
const VERSION: u8 = 1;
/// A magic with more bits than these flipped, of 64, is somebody else's; with fewer it is damaged.
const MAGIC_FLIPS_MAX: u32 = 4;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FileKind {
    /// Names the store.
    Store = 1,
    /// A data file of the commit log.
    Log = 2,
    /// What is needed of a sealed log file to rebuild the index, without the blocks.
    Hint = 3,
    /// A segment of the event log.
    Events = 4,
    /// The sparse index of a sealed segment.
    EventIndex = 5,
    /// A copy of the metadata.
    Snapshot = 6,
    /// What another file is healed from.
    Parity = 7,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the file is.
    pub kind: FileKind,
    /// Whose it is.
    pub store: StoreId,
    /// Its number within the kind.
    pub number: u64,
    /// Where it starts.
    pub base: u64,
    /// The chain before its first cycle.
    pub chain: u32,
}

/// True if some bytes start with a header whose checksum is right, whatever it says.
#[must_use]
pub fn is_sound(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES && bytes[60..64] == crc32fast::hash(&bytes[..60]).to_le_bytes()
}

impl Header {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8] = self.kind as u8;
        out[9] = VERSION;
        out[12..28].copy_from_slice(&self.store.0);
        out[28..36].copy_from_slice(&self.number.to_le_bytes());
        out[36..44].copy_from_slice(&self.base.to_le_bytes());
        out[44..48].copy_from_slice(&self.chain.to_le_bytes());
        let crc = crc32fast::hash(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// True if these are the bytes of this header, or of one that differs in its kind only.
    #[must_use]
    pub fn is_beside(&self, bytes: &[u8]) -> bool {
        let mut own = self.encode();
        own[8] = bytes[8];
        own[..60] == bytes[..60]
    }

    /// Reads a header of a kind. `store`, if known, must be the same.
    ///
    /// # Errors
    /// [`Reason::WrongStore`] for another store, kind or version; [`Reason::DataCorrupt`] for a damaged header.
    pub fn decode(bytes: &[u8], kind: FileKind, store: Option<StoreId>, path: &Path) -> Result<Self> {
        let name = path.display();
        let wrong = |what: String| Error::new(Reason::WrongStore, format!("{name}: {what}; nothing was changed"));
        if bytes.len() < HEADER_BYTES {
            let detail = format!("{name}: the header has {} of {HEADER_BYTES} bytes", bytes.len());
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        // A power cut can keep a file's size and lose its bytes, or all but the first ones: that is no file of somebody
        // else's.
        let used = bytes[..HEADER_BYTES].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if MAGIC.starts_with(&bytes[..used]) {
            return Err(Error::new(
                Reason::DataCorrupt,
                format!("{name}: bytes 0-63: the header never reached the disk"),
            ));
        }
        let flips: u32 = bytes.iter().zip(MAGIC).map(|(byte, right)| (byte ^ right).count_ones()).sum();
        if flips > MAGIC_FLIPS_MAX || (flips > 0 && is_sound(bytes)) {
            return Err(wrong("not a file of this store format".into()));
        }
        if !is_sound(bytes) {
            return Err(Error::new(Reason::DataCorrupt, format!("{name}: bytes 0-63: the header fails its check")));
        }
        if bytes[9] != VERSION {
            let found = bytes[9];
            return Err(wrong(format!("format version {found}, this program reads version {VERSION}")));
        }
        if bytes[10..12].iter().chain(&bytes[48..60]).any(|b| *b != 0) {
            return Err(wrong("bytes 10-11 or 48-59 are not zero, which this program knows nothing of".into()));
        }
        if bytes[8] != kind as u8 {
            return Err(wrong(format!("a file of kind {}, expected {kind:?}", bytes[8])));
        }
        let found = StoreId(bytes[12..28].try_into().expect("16 bytes"));
        if let Some(store) = store.filter(|s| *s != found) {
            return Err(wrong(format!("belongs to store {found:?}, this is {store:?}")));
        }
        Ok(Self { kind, store: found, number: u64_at(bytes, 28), base: u64_at(bytes, 36), chain: u32_at(bytes, 44) })
    }
}
