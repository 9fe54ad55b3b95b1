//! Where the log stops: is it the end, a torn tail, or damage in the middle?
//!
//! What a torn write left may hold any bytes that users chose, at any place. A search for a later cycle must not be
//! misled by them: each cycle end starts with eight bytes that only the store knows.

use std::path::Path;

use backend_api::Result;

use super::{LogFiles, Position};
use crate::format::StoreId;
use crate::format::frame::{CycleEnd, FRAME_HEADER_BYTES, FrameKind, Parsed, parse};
use crate::io::{File, failed, read_up_to};

const CHUNK_BYTES: usize = 1 << 20;

/// What lies behind the last valid cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Nothing but the preallocated zeros.
    Clean,
    /// Part of a cycle that was never acknowledged: no later cycle is whole. It goes up to this offset.
    Torn(u64),
    /// Damage: a later cycle is whole, so this one was acknowledged. Nothing may be cut.
    Rotten(String),
}

/// Tells which, for a scan that stopped at a position.
///
/// A crash can leave any part of the last write, so a bad cycle is torn if it is the last one. The next cycle was only
/// written after this one was synced: a whole cycle end of a later number, here or in a later file, proves damage.
pub fn classify(files: &LogFiles, at: Position, why: &str) -> Result<Tail> {
    let path = files.path(at.file);
    let later = files.numbers()?.into_iter().find(|n| *n > at.file);
    if let Some(later) = later {
        let name = files.path(later);
        return Ok(Tail::Rotten(format!("{}: {why}; yet {} follows", path.display(), name.display())));
    }
    let file = files.get(at.file)?;
    let len = file.len().map_err(|e| failed("read", &path, &e))?;
    let mut offset = at.offset;
    let mut last_used = None;
    while offset < len {
        let chunk = read_up_to(&*file, CHUNK_BYTES, offset).map_err(|e| failed("read", &path, &e))?;
        if let Some(used) = chunk.iter().rposition(|b| *b != 0) {
            last_used = Some(offset + used as u64 + 1);
            if let Some(end) = later_cycle(&chunk, offset, at.cycle + 1, files.store()) {
                let detail =
                    format!("{}: {why}; yet cycle {} at offset {} is whole", path.display(), end.cycle, end.end);
                return Ok(Tail::Rotten(detail));
            }
        }
        if chunk.len() < CHUNK_BYTES {
            break;
        }
        // Chunks overlap, so that no cycle end is missed between two.
        offset += (CHUNK_BYTES - 128) as u64;
    }
    Ok(last_used.map_or(Tail::Clean, Tail::Torn))
}

/// A whole cycle end in a chunk, at its own offset, with a number above `cycle`.
fn later_cycle(chunk: &[u8], offset: u64, cycle: u64, store: StoreId) -> Option<CycleEnd> {
    let needle = store.cycle_end_magic();
    let mut from = 0;
    while let Some(found) = find(&chunk[from..], &needle) {
        let magic = from + found;
        if let Some(start) = magic.checked_sub(FRAME_HEADER_BYTES)
            && let Parsed::Frame(frame) = parse(&chunk[start..])
            && frame.kind == FrameKind::CycleEnd
            && let Some(end) = CycleEnd::decode(frame.payload, store)
            && end.cycle > cycle
            && end.end == offset + start as u64
        {
            return Some(end);
        }
        from = magic + 1;
    }
    None
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// True if there are only zeros from an offset to the end.
pub fn is_zero(file: &dyn File, path: &Path, mut offset: u64) -> Result<bool> {
    loop {
        let chunk = read_up_to(file, CHUNK_BYTES, offset).map_err(|e| failed("read", path, &e))?;
        if chunk.iter().any(|b| *b != 0) {
            return Ok(false);
        }
        if chunk.len() < CHUNK_BYTES {
            return Ok(true);
        }
        offset += chunk.len() as u64;
    }
}
