//! One event in a segment.
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | CRC-32 of all that follows |
//! | 4-7 | length of the frame |
//! | 8-15 | sequence number |
//! | 16-23 | time, microseconds since 1970 |
//! | 24- | the frame |

use backend_api::limits::FRAME_BYTES_MAX;
use backend_api::{EventFrame, Micros, Seq};
use bytes::Bytes;

use crate::format::{u32_at, u64_at};

/// Bytes before the frame.
pub const ENTRY_HEADER_BYTES: usize = 24;

/// Appends an event.
pub fn append(out: &mut Vec<u8>, event: &EventFrame) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(event.frame.len() as u32).to_le_bytes());
    out.extend_from_slice(&event.seq.get().to_le_bytes());
    out.extend_from_slice(&event.at.0.to_le_bytes());
    out.extend_from_slice(&event.frame);
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// A sound event.
    Event {
        /// Its number.
        seq: Seq,
        /// Its time.
        at: Micros,
        /// Its whole length in bytes.
        whole: usize,
    },
    /// So far an event, of this length in all.
    Short(usize),
    /// No event, and why.
    Bad(&'static str),
}

/// Reads the event at the start of some bytes, but for its frame.
pub fn head(bytes: &[u8]) -> Head {
    if bytes.len() < ENTRY_HEADER_BYTES {
        return Head::Short(ENTRY_HEADER_BYTES);
    }
    let len = u32_at(bytes, 4) as usize;
    if len > FRAME_BYTES_MAX || len == 0 {
        return Head::Bad("impossible length");
    }
    let whole = ENTRY_HEADER_BYTES + len;
    if bytes.len() < whole {
        return Head::Short(whole);
    }
    if u32_at(bytes, 0) != crc32fast::hash(&bytes[4..whole]) {
        return Head::Bad("wrong checksum");
    }
    match Seq::new(u64_at(bytes, 8)) {
        Ok(seq) => Head::Event { seq, at: Micros(u64_at(bytes, 16)), whole },
        Err(_) => Head::Bad("impossible sequence number"),
    }
}

/// What stands in some bytes, with its frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// An event; its whole length in bytes.
    Event(EventFrame, usize),
    /// So far an event, of this length in all.
    Short(usize),
    /// No event, and why.
    Bad(&'static str),
}

/// Reads the event at `at`, without copying its frame.
pub fn parse(bytes: &Bytes, at: usize) -> Parsed {
    match head(&bytes[at..]) {
        Head::Event { seq, at: time, whole } => {
            let frame = bytes.slice(at + ENTRY_HEADER_BYTES..at + whole);
            Parsed::Event(EventFrame { seq, at: time, frame }, whole)
        }
        Head::Short(whole) => Parsed::Short(whole),
        Head::Bad(why) => Parsed::Bad(why),
    }
}
