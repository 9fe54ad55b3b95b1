//! Redundancy for files that only grow: beside each a small sidecar, `<name>.parity`, from which damage is healed.
//!
//! Of each 4 MiB of a file, any damage that touches no two chunks of 4 KiB at the same place of two stripes of 64 KiB is
//! healed: so every single burst of up to 60 KiB, wherever it begins. A sidecar is derived: it is never synced, trusted
//! only with its checksums, made again when it is missing, and removed with its file.

mod cover;
mod mend;
mod pieces;
mod swap;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::Result;

use crate::format::StoreId;
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::parity::{Entry, REGION_BYTES, SLOT_BYTES, slot};
use crate::io::{Disk, File, discard, read_up_to};

pub use cover::{Cover, Extent};
pub use mend::{Damage, Unreadable, damage, mended};
pub use pieces::{Piece, found_sound};
pub use swap::{finish_swaps, put_in_place, write_healed};

/// The sidecar of a file.
pub fn path_of(path: &Path) -> PathBuf {
    path.with_extension("parity")
}

/// Removes the sidecar of a file that is gone. One that stays behind costs its space.
pub fn remove(disk: &dyn Disk, path: &Path) {
    discard(disk, &path_of(path));
}

/// A sidecar with a sound header.
pub struct Sidecar {
    /// That of its file, but for the kind.
    pub header: Header,
    file: Arc<dyn File>,
    slots: u32,
}

impl Sidecar {
    /// The sidecar of a file, if there is one. What cannot be read of it counts as not there.
    pub fn open(disk: &dyn Disk, path: &Path, store: StoreId) -> Option<Self> {
        let path = path_of(path);
        let file = disk.open(&path).ok()?;
        let bytes = read_up_to(&*file, HEADER_BYTES, 0).ok()?;
        let header = Header::decode(&bytes, FileKind::Parity, Some(store), &path).ok()?;
        let slots = file.len().ok()?.saturating_sub(HEADER_BYTES as u64).div_ceil(SLOT_BYTES);
        Some(Self { header, file, slots: u32::try_from(slots).ok()? })
    }

    /// The entry of a region, if it is sound.
    pub fn entry(&self, region: u32) -> Option<Entry> {
        if region >= self.slots {
            return None;
        }
        Entry::decode(read_up_to(&*self.file, SLOT_BYTES as usize, slot(region)).ok()?, region)
    }

    /// Up to where the file is covered, as far as the last sound entry tells.
    pub fn covered(&self) -> u64 {
        let newest = (0..self.slots).rev().find_map(|region| Some((region, self.entry(region)?)));
        newest.map_or(0, |(region, entry)| u64::from(region) * REGION_BYTES + u64::from(entry.covered))
    }
}

/// What a copy is checked by, beyond its sidecar: everything in it that has a checksum of its own.
pub type Check<'a> = dyn Fn(&Path) -> Result<()> + 'a;
