//! What of a file differs from its sidecar, and what stood there.

use std::path::Path;

use backend_api::{Error, Reason, Result};

use super::Sidecar;
use crate::format::StoreId;
use crate::format::parity::{CHUNK_BYTES, Entry, REGION_BYTES, STRIPE_BYTES, xor};
use crate::io::{Disk, File, failed, read_up_to};

/// A read that fails is tried this often: one bad read is no damage.
const READ_TRIES: usize = 3;
/// Chunks of a stripe.
const COLUMNS: usize = STRIPE_BYTES / CHUNK_BYTES;

/// What a chunk that the disk cannot read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// An error: it says nothing about what is stored.
    Error,
    /// Damaged: somebody asked for repair, and so gave it up.
    Damaged,
}

/// What was found of a file.
#[derive(Default)]
pub struct Damage {
    /// Up to where the sidecar covers it.
    pub covered: u64,
    /// What stood in chunks that are damaged: offsets, bytes.
    pub found: Vec<(u64, Vec<u8>)>,
    /// Offsets of damaged chunks of which nothing tells what stood there.
    pub lost: Vec<u64>,
}

impl Damage {
    /// True if the file is as its sidecar says.
    pub const fn is_none(&self) -> bool {
        self.found.is_empty() && self.lost.is_empty()
    }

    /// Bytes that are found again.
    pub fn found_bytes(&self) -> u64 {
        self.found.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// Compares a file with its sidecar. What is in regions whose entry is damaged is not looked at.
pub fn damage(file: &dyn File, path: &Path, sidecar: &Sidecar, unreadable: Unreadable) -> Result<Damage> {
    let mut damage = Damage { covered: sidecar.covered(), ..Damage::default() };
    for region in 0..damage.covered.div_ceil(REGION_BYTES) as u32 {
        if let Some(entry) = sidecar.entry(region) {
            Region { file, path, start: u64::from(region) * REGION_BYTES, entry }.compare(unreadable, &mut damage)?;
        }
    }
    Ok(damage)
}

/// Makes sure that what a sidecar covers of a region is as it says.
pub fn is_as_said(file: &dyn File, path: &Path, region: u32, entry: Entry) -> Result<()> {
    let start = u64::from(region) * REGION_BYTES;
    let mut damage = Damage::default();
    Region { file, path, start, entry }.compare(Unreadable::Error, &mut damage)?;
    let first = damage.found.iter().map(|(offset, _)| *offset).chain(damage.lost).min();
    first.map_or(Ok(()), |offset| {
        let detail =
            format!("{}: offset {offset}: its sidecar tells of other bytes; nothing was changed", path.display());
        Err(Error::new(Reason::DataCorrupt, detail))
    })
}

/// Bytes of a file that is damaged there, as its sidecar tells them; `None` if it does not. Nothing is changed.
pub fn mended(disk: &dyn Disk, path: &Path, store: StoreId, offset: u64, len: usize) -> Option<Vec<u8>> {
    let sidecar = Sidecar::open(disk, path, store)?;
    let file = disk.open(path).ok()?;
    let mut bytes = read_up_to(&*file, len, offset).ok()?;
    bytes.resize(len, 0);
    let end = offset + len as u64;
    for region in (offset / REGION_BYTES) as u32..end.div_ceil(REGION_BYTES) as u32 {
        let mut damage = Damage::default();
        let entry = sidecar.entry(region)?;
        let region = Region { file: &*file, path, start: u64::from(region) * REGION_BYTES, entry };
        region.compare(Unreadable::Error, &mut damage).ok()?;
        for (at, chunk) in damage.found {
            overlay(&mut bytes, offset, &chunk, at);
        }
    }
    Some(bytes)
}

/// Lays a piece of a file over another piece of it.
pub fn overlay(bytes: &mut [u8], offset: u64, piece: &[u8], at: u64) {
    let from = at.max(offset);
    let to = (at + piece.len() as u64).min(offset + bytes.len() as u64);
    if from < to {
        let len = (to - from) as usize;
        let (into, of) = ((from - offset) as usize, (from - at) as usize);
        bytes[into..into + len].copy_from_slice(&piece[of..of + len]);
    }
}

struct Region<'a> {
    file: &'a dyn File,
    path: &'a Path,
    start: u64,
    entry: Entry,
}

impl Region<'_> {
    fn compare(&self, unreadable: Unreadable, damage: &mut Damage) -> Result<()> {
        // The parity less all sound chunks: where one is damaged, that one.
        let mut rest = self.entry.parity().to_vec();
        let mut bad: [Vec<usize>; COLUMNS] = Default::default();
        for first in (0..self.entry.chunks()).step_by(COLUMNS) {
            let chunks = COLUMNS.min(self.entry.chunks() - first);
            let stripe = self.stripe(first, chunks, unreadable)?;
            for column in 0..chunks {
                let from = (column * CHUNK_BYTES).min(stripe.len());
                let bytes = &stripe[from..(from + CHUNK_BYTES).min(stripe.len())];
                if self.entry.matches(first + column, bytes) {
                    xor(&mut rest[column * CHUNK_BYTES..], bytes);
                } else {
                    bad[column].push(first + column);
                }
            }
        }
        for (column, chunks) in bad.iter().enumerate() {
            for chunk in chunks {
                let offset = self.start + (chunk * CHUNK_BYTES) as u64;
                let from = column * CHUNK_BYTES;
                let stood = &rest[from..from + self.entry.chunk_len(*chunk)];
                // With two of a column damaged this is what both of them XOR to.
                if self.entry.matches(*chunk, stood) {
                    damage.found.push((offset, stood.to_vec()));
                } else {
                    damage.lost.push(offset);
                }
            }
        }
        Ok(())
    }

    /// The bytes of some chunks, as far as the file has them. Chunks that cannot be read come as zeros.
    fn stripe(&self, first: usize, chunks: usize, unreadable: Unreadable) -> Result<Vec<u8>> {
        let offset = self.start + (first * CHUNK_BYTES) as u64;
        let last = first + chunks - 1;
        let len = (chunks - 1) * CHUNK_BYTES + self.entry.chunk_len(last);
        match (self.read(len, offset), unreadable) {
            (Err(e), Unreadable::Damaged) if e.reason() == Reason::ReadFailed && chunks > 1 => {
                let mut out = Vec::with_capacity(len);
                for chunk in first..=last {
                    out.extend(self.stripe(chunk, 1, unreadable)?);
                }
                Ok(out)
            }
            (Err(e), Unreadable::Damaged) if e.reason() == Reason::ReadFailed => Ok(vec![0; len]),
            (read, _) => read,
        }
    }

    fn read(&self, len: usize, offset: u64) -> Result<Vec<u8>> {
        let mut tries = 1;
        loop {
            match read_up_to(self.file, len, offset) {
                Ok(bytes) => return Ok(bytes),
                Err(_) if tries < READ_TRIES => tries += 1,
                Err(e) => return Err(failed("read", self.path, &e).context(format!("offset {offset}"))),
            }
        }
    }
}
