//! Making sidecars.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::mend::is_as_said;
use super::pieces::{Pieces, Reads};
use super::{Sidecar, path_of};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::parity::{Builder, REGION_BYTES, STRIPE_BYTES, slot};
use crate::io::{Disk, File, failed, read_over};

/// How much of a file is to be covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    All,
    /// Not the region that it ends in: that entry would be made again when there is more.
    WholeRegions,
}

/// A file and its sidecar, which is to be brought up to what is durable of the file and never changes again.
pub struct Cover<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    header: Header,
    known: Option<Sidecar>,
    covered: u64,
    /// Up to here it is to be covered.
    end: u64,
    /// Here a piece ends, and what is durable.
    len: u64,
}

/// Entries that are made, and not written while a piece may be damaged that lies in them.
struct Entries<'a> {
    of: &'a Cover<'a>,
    file: Option<Arc<dyn File>>,
    /// With the place in the file where they end.
    made: VecDeque<(u64, u32, Vec<u8>)>,
}

/// The header of a sidecar.
const fn of(header: &Header) -> Header {
    Header { kind: FileKind::Parity, ..*header }
}

impl<'a> Cover<'a> {
    /// Of `len` bytes of a file.
    pub fn new(disk: &'a dyn Disk, path: &'a Path, header: &Header, len: u64, extent: Extent) -> Self {
        let header = *header;
        let known = Sidecar::open(disk, path, header.store).filter(|s| s.header == of(&header));
        // The file was longer, once: that is another time.
        let known = known.filter(|sidecar| sidecar.covered() <= len);
        let covered = known.as_ref().map_or(0, Sidecar::covered);
        let end = if extent == Extent::All { len } else { len - len % REGION_BYTES };
        Self { disk, path, header, known, covered, end, len }
    }

    /// True if there is nothing to do.
    pub const fn is_done(&self) -> bool {
        self.covered >= self.end
    }

    /// Where to begin to look at the pieces of the file: where one begins that is not covered, if that is known, for what is
    /// covered need not be sound a second time; or else with the first.
    pub const fn from(&self, known: u64) -> u64 {
        if known <= self.covered && known > HEADER_BYTES as u64 { known } else { HEADER_BYTES as u64 }
    }

    /// Adds to the sidecar; begins again where there is none. `reads` tells the pieces of the file apart, of which one begins
    /// at `from`. What is not sound is not covered: it would be healed to what it is. Returns where the last piece ends that
    /// does not go beyond what is covered now, and how many came by up to there.
    ///
    /// # Errors
    /// [`Reason::DataCorrupt`] if there is anything else than sound pieces, or something that the sidecar tells otherwise.
    pub fn bring(mut self, file: &dyn File, from: u64, reads: &mut Reads<'_>) -> Result<(u64, u64)> {
        let first = (self.covered / REGION_BYTES) as u32;
        let known = self.known.take();
        if let Some(entry) = known.as_ref().and_then(|sidecar| sidecar.entry(first)) {
            // What is replaced is the only other witness of these bytes.
            is_as_said(file, self.path, first, entry)?;
        }
        let mut entries = Entries { of: &self, file: known.map(|sidecar| sidecar.file), made: VecDeque::new() };
        let mut builder = Builder::new(first);
        let start = u64::from(first) * REGION_BYTES;
        let mut pieces = Pieces::new(from, reads);
        let mut last = (from, 0);
        let mut offset = start.min(from - from % STRIPE_BYTES as u64);
        let mut stripe = Vec::new();
        // Beyond the end only as far as the piece goes that lies across it.
        while offset < self.end || pieces.at < self.end {
            self.read(file, offset, &mut stripe)?;
            let new = pieces.taken().saturating_sub(offset).min(stripe.len() as u64) as usize;
            let ends = &mut |at| {
                if at <= self.end {
                    last = (at, last.1 + 1);
                }
            };
            pieces.take(&stripe[new..], ends).map_err(|why| self.damaged(pieces.at, why))?;
            if (start..self.end).contains(&offset) {
                builder.stripe(&stripe);
            }
            offset += stripe.len() as u64;
            if offset > start && offset <= self.end && (offset == self.end || offset.is_multiple_of(REGION_BYTES)) {
                let next = Builder::new((offset / REGION_BYTES) as u32);
                entries.add(offset, std::mem::replace(&mut builder, next));
            }
            entries.write_up_to(pieces.at)?;
        }
        Ok(last)
    }

    /// Reads the stripe at an offset.
    fn read(&self, file: &dyn File, offset: u64, stripe: &mut Vec<u8>) -> Result<()> {
        let len = STRIPE_BYTES.min((self.len - offset) as usize);
        read_over(file, stripe, len, offset)
            .map_err(|e| failed("read", self.path, &e).context(format!("offset {offset}")))?;
        if stripe.len() < len || len == 0 {
            return Err(self.damaged(offset, "the file ends here, within what was made durable"));
        }
        if offset == 0 && !stripe.starts_with(&self.header.encode()) {
            return Err(self.damaged(0, "the header is not what it was"));
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, why: &str) -> Error {
        let detail = format!("{}: offset {offset}: {why}; nothing was changed", self.path.display());
        Error::new(Reason::DataCorrupt, detail)
    }
}

impl Entries<'_> {
    fn add(&mut self, end: u64, builder: Builder) {
        let region = ((end - 1) / REGION_BYTES) as u32;
        self.made.push_back((end, region, builder.finish()));
    }

    /// Writes those that end before.
    fn write_up_to(&mut self, sound: u64) -> Result<()> {
        let aside = path_of(self.of.path);
        while let Some((_, region, entry)) = self.made.pop_front_if(|(end, _, _)| *end <= sound) {
            let written = self.file().and_then(|file| file.write_all_at(&entry, slot(region)));
            written.map_err(|e| failed("write", &aside, &e))?;
        }
        Ok(())
    }

    /// The sidecar's file: a new one, unless it goes on.
    fn file(&mut self) -> std::io::Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let (disk, aside) = (self.of.disk, path_of(self.of.path));
        let file = if disk.exists(&aside)? { disk.open(&aside) } else { disk.create(&aside) }?;
        file.set_len(0)?;
        file.write_all_at(&of(&self.of.header).encode(), 0)?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}
