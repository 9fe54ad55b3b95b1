//! The sparse index of a sealed segment, `events/0000000000000001.index`: after the header, whose number is that of the
//! event that follows the segment, CRC-32 of the rest, number of
//! entries (u32), entries of sequence number and offset (u64, u64). It only saves reading: a missing or damaged one is
//! made again.

use std::path::Path;

use backend_api::Result;

use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::{StoreId, u32_at, u64_at};
use crate::io::{Disk, discard, failed, read_up_to};

/// More than a segment of a gigabyte has.
const ENTRIES_MAX: usize = 1 << 20;

/// Writes the index beside its segment. Aside and renamed, never synced.
pub fn write(
    disk: &dyn Disk,
    segment: &Path,
    store: StoreId,
    (base, next): (u64, u64),
    index: &[(u64, u64)],
) -> Result<()> {
    let path = segment.with_extension("index");
    let aside = segment.with_extension("index-tmp");
    let fail = |e: std::io::Error| failed("write", &aside, &e);
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let header = Header { kind: FileKind::EventIndex, store, number: next, base, chain: 0 };
    let mut out = header.encode().to_vec();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(index.len() as u32).to_le_bytes());
    for (seq, offset) in index {
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
    }
    let crc = crc32fast::hash(&out[HEADER_BYTES + 4..]);
    out[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
    let file = disk.create(&aside).map_err(fail)?;
    let written = file.write_all_at(&out, 0).and_then(|()| disk.rename(&aside, &path));
    written.map_err(fail).inspect_err(|_| discard(disk, &aside))
}

/// The number of the event that follows a sealed segment, if its index tells.
pub fn next(disk: &dyn Disk, segment: &Path, store: StoreId, base: u64) -> Option<u64> {
    let path = segment.with_extension("index");
    let bytes = read_up_to(&*disk.open(&path).ok()?, HEADER_BYTES, 0).ok()?;
    let header = Header::decode(&bytes, FileKind::EventIndex, Some(store), &path).ok()?;
    (header.base == base).then_some(header.number)
}

/// The index of a segment, if there is a sound one.
pub fn read(disk: &dyn Disk, segment: &Path, store: StoreId, base: u64) -> Option<Vec<(u64, u64)>> {
    let path = segment.with_extension("index");
    let file = disk.open(&path).ok()?;
    let len = usize::try_from(file.len().ok()?).ok()?.min(HEADER_BYTES + 8 + ENTRIES_MAX * 16);
    let bytes = read_up_to(&*file, len, 0).ok()?;
    let header = Header::decode(&bytes, FileKind::EventIndex, Some(store), &path).ok()?;
    let body = bytes.get(HEADER_BYTES..).filter(|b| b.len() >= 8)?;
    let entries = body.get(8..8 + (u32_at(body, 4) as usize).min(ENTRIES_MAX) * 16)?;
    if header.base != base || u32_at(body, 0) != crc32fast::hash(&body[4..8 + entries.len()]) {
        return None;
    }
    Some(entries.chunks_exact(16).map(|entry| (u64_at(entry, 0), u64_at(entry, 8))).collect())
}

/// Removes the index of a segment that is gone. One that stays behind is passed over, and costs a few bytes.
pub fn remove(disk: &dyn Disk, segment: &Path) {
    if let Err(e) = disk.remove(&segment.with_extension("index"))
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = %e, "the index of a dropped segment stays");
    }
}
