//! Memory maps of sealed files: the one room with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; the argument is at the block")]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A read-only mapping of a file that no longer changes.
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the first `len` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file is shorter: touching what is not there would kill the process.
    pub fn of(file: &File, len: u64) -> io::Result<Self> {
        if file.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the engine maps sealed files only: it never writes to or cuts one again, it holds the directory's lock
        // against other engines, and the length was checked above. What another program may do to the bytes is caught
        // by their checksum, which is computed over a copy. A file that is cut from outside while it is mapped raises
        // SIGBUS; that is why mapping is not the default (docs/decisions).
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
