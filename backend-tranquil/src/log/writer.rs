//! Appending cycles: one write, one sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::mutation::Event;
use backend_api::{Block, Checked, Error, Reason, RepoId, Result, Stamp};

use super::LogFiles;
use crate::format::frame::{Chain, CycleEnd, FrameKind, append, append_block};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::intent::{Intent, Maintenance};
use crate::format::value::Place;
use crate::io::{File, discard, failed};

/// Zeros that are written ahead of small cycles at a time.
const FILLED_BYTES: u64 = 256 << 10;
/// Cycles of more bytes bring no zeros: those would cost more than the journal that they save.
const FILLED_BY_BYTES_MAX: usize = 16 << 10;

/// Where the next cycle goes, and what it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: u32,
    /// The offset.
    pub offset: u64,
    /// The newest cycle before.
    pub cycle: u64,
    /// The chain after it.
    pub chain: u32,
}

/// The one writer of the log.
pub struct LogWriter {
    files: Arc<LogFiles>,
    file: Arc<dyn File>,
    at: Position,
    sizes: Sizes,
    /// The end of what is allocated of the file.
    room: u64,
    /// The end of what was written of the file: cycles, and zeros for those to come.
    filled: u64,
    /// Bytes of the cycle before.
    last_bytes: usize,
    buffers: Vec<Vec<u8>>,
}

/// Sizes of log files.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A file is sealed when it has so many bytes.
    pub file_bytes: u64,
    /// Bytes behind the newest cycle that are allocated and left to those who may use them.
    pub kept_bytes: u64,
}

/// A cycle that is being put together in memory.
pub struct Cycle {
    bytes: Vec<u8>,
    file: u32,
    start: u64,
    frames: u32,
    chain: Chain,
}

/// A cycle with its end: whole, and not yet on disk.
pub struct Sealed {
    bytes: Vec<u8>,
    file: Arc<dyn File>,
    before: Position,
    after: Position,
}

/// A cycle that was to be written, and what came of it.
pub struct Written {
    sealed: Sealed,
    result: Result<(), Unwritten>,
}

enum Unwritten {
    Write(std::io::Error),
    Sync(std::io::Error),
}

impl Sealed {
    /// Where the next cycle goes when this one is on disk.
    pub const fn after(&self) -> Position {
        self.after
    }

    /// Writes the cycle and syncs it: one write, one sync. On any thread, one cycle after the other.
    pub fn write(self) -> Written {
        let written = self.file.write_all_at(&self.bytes, self.before.offset).map_err(Unwritten::Write);
        let result = written.and_then(|()| self.file.sync().map_err(Unwritten::Sync));
        Written { sealed: self, result }
    }
}

impl Written {
    /// True if the cycle counts.
    pub const fn is_ok(&self) -> bool {
        self.result.is_ok()
    }
}

/// What became of a cycle that was not committed.
pub enum Failed {
    /// Nothing of it will ever count, and the log takes further cycles.
    NotWritten(Error),
    /// It may be on disk or not. No further cycle may be written.
    Unknown(Error),
}

impl LogWriter {
    /// Goes on at a position in a file that is there.
    pub fn resume(files: Arc<LogFiles>, at: Position, sizes: Sizes) -> Result<Self> {
        let file = files.get(at.file)?;
        let mut log =
            Self { files, file, at, sizes, room: at.offset, filled: at.offset, last_bytes: 0, buffers: Vec::new() };
        // With little space left there is less room, and the first write finds out: opening matters more.
        if let Err(e) = log.claim(at.offset.max(sizes.file_bytes) + sizes.kept_bytes) {
            tracing::warn!(error = %e, "no space to preallocate the log file");
            log.claim_what_is_kept();
        }
        Ok(log)
    }

    /// Begins a log with its first file.
    pub fn create(files: Arc<LogFiles>, sizes: Sizes) -> Result<Self> {
        let before = Position { file: 0, offset: 0, cycle: 0, chain: 0 };
        let next = NextFile::prepare(&files, before, sizes)?;
        let (file, room) = (Arc::clone(&next.file), next.room);
        let at = next.put_in_place(&files)?;
        Ok(Self { files, file, at, sizes, room, filled: at.offset, last_bytes: 0, buffers: Vec::new() })
    }

    pub const fn position(&self) -> Position {
        self.at
    }

    /// True if the next cycle would begin a new file.
    pub const fn is_file_full(&self) -> bool {
        self.at.offset >= self.sizes.file_bytes
    }

    /// Seals the current file and begins the next one. After an error the current file still takes cycles.
    pub fn rotate(&mut self) -> Result<()> {
        // The next one has its space before the current one gives up what it has.
        let next = NextFile::prepare(&self.files, self.at, self.sizes)?;
        self.close()?;
        let (file, room) = (Arc::clone(&next.file), next.room);
        match next.put_in_place(&self.files) {
            Ok(at) => (self.file, self.room, self.filled, self.at) = (file, room, at.offset, at),
            Err(e) => {
                self.claim_what_is_kept();
                return Err(e);
            }
        }
        Ok(())
    }

    /// Starts to put a cycle together.
    pub fn begin(&mut self) -> Cycle {
        let mut bytes = self.buffers.pop().unwrap_or_default();
        bytes.clear();
        Cycle { bytes, file: self.at.file, start: self.at.offset, frames: 0, chain: Chain::after(self.at.chain) }
    }

    /// Ends a cycle, and makes sure of its room: what does not fit is not begun. The next cycle may be put together as if
    /// this one were on disk. One that is not `spared` leaves the kept bytes behind it.
    ///
    /// # Errors
    /// That there is no space. The log is where it was.
    pub fn seal(&mut self, mut cycle: Cycle, spared: bool) -> Result<Sealed> {
        let end = CycleEnd {
            cycle: self.at.cycle + 1,
            start: cycle.start,
            end: cycle.start + cycle.bytes.len() as u64,
            frames: cycle.frames,
            chain: cycle.chain.value(),
        };
        end.append(&mut cycle.bytes, self.files.store());
        let kept = if spared { 0 } else { self.sizes.kept_bytes };
        let offset = cycle.start + cycle.bytes.len() as u64;
        self.claim(offset + kept)?;
        self.fill(&mut cycle, offset);
        let before = self.at;
        self.at = Position { file: before.file, offset, cycle: end.cycle, chain: end.chain };
        Ok(Sealed { bytes: cycle.bytes, file: Arc::clone(&self.file), before, after: self.at })
    }

    /// A small cycle after a small one that reaches beyond what was written brings zeros with it, for the next ones to
    /// overwrite: to sync what overwrites takes no journal of the file system. Where large ones come between, one of them
    /// would be all that overwrites them.
    fn fill(&mut self, cycle: &mut Cycle, end: u64) {
        let bytes = cycle.bytes.len();
        let is_small = bytes.max(self.last_bytes) <= FILLED_BY_BYTES_MAX;
        self.last_bytes = bytes;
        if end > self.filled {
            let ahead = if is_small { FILLED_BYTES } else { 0 };
            self.filled = (end + ahead).min(self.room);
            cycle.bytes.resize((self.filled - cycle.start) as usize, 0);
        }
    }

    /// Takes notice of a cycle that was written: its bytes, if it counts. If not, the log goes back to before it, and what
    /// was sealed behind it counts no more either.
    pub fn written(&mut self, written: Written) -> Result<u64, Failed> {
        let Written { sealed, result } = written;
        let bytes = sealed.after.offset - sealed.before.offset;
        let path = self.files.path(sealed.before.file);
        self.buffers.push(sealed.bytes);
        let Err(unwritten) = result else { return Ok(bytes) };
        self.at = sealed.before;
        let error = match unwritten {
            Unwritten::Write(e) => failed("append to", &path, &e),
            Unwritten::Sync(e) => return Err(Failed::Unknown(unsynced(&path, &e))),
        };
        (self.room, self.filled) = (self.at.offset, self.at.offset);
        // A full disk is no damage: what was written of the cycle is cut off, and its end was not reached.
        let cut = self.file.set_len(self.at.offset).and_then(|()| self.file.sync());
        Err(match cut {
            Ok(()) if error.reason() == Reason::StorageFull => {
                self.claim_what_is_kept();
                Failed::NotWritten(error)
            }
            _ => Failed::Unknown(error),
        })
    }

    /// Allocates the file up to there.
    fn claim(&mut self, to: u64) -> Result<()> {
        if to > self.room {
            let path = self.files.path(self.at.file);
            // Some more, if it is there: not every cycle needs to ask.
            let more = to + self.sizes.kept_bytes;
            let claimed = self.file.allocate(more).map(|()| more).or_else(|_| self.file.allocate(to).map(|()| to));
            self.room = claimed.map_err(|e| failed("allocate", &path, &e))?;
        }
        Ok(())
    }

    /// What freeing work may need, as far as it is there.
    fn claim_what_is_kept(&mut self) {
        if let Err(e) = self.claim(self.at.offset + self.sizes.kept_bytes) {
            tracing::warn!(error = %e, "no room is left for what goes on when the disk is full");
        }
    }

    /// Gives a cycle's memory back without writing it.
    pub fn discard(&mut self, cycle: Cycle) {
        self.buffers.push(cycle.bytes);
    }

    /// Cuts off the preallocated rest, so that the next open has nothing to search.
    pub fn close(&mut self) -> Result<()> {
        let path = self.files.path(self.at.file);
        self.file.set_len(self.at.offset).map_err(|e| failed("close", &path, &e))?;
        self.room = self.at.offset;
        self.file.sync().map_err(|e| unsynced(&path, &e))
    }
}

/// A file that is made aside, with its space, so that a file of its name is one that counts: what an attempt leaves is
/// never taken for a log file.
struct NextFile {
    file: Arc<dyn File>,
    at: Position,
    room: u64,
    aside: PathBuf,
}

impl NextFile {
    fn prepare(files: &LogFiles, before: Position, sizes: Sizes) -> Result<Self> {
        let number = before.file + 1;
        let aside = files.path(number).with_extension("tmp");
        let disk = files.disk();
        let fail = |e: std::io::Error| failed("create", &aside, &e);
        if disk.exists(&aside).map_err(fail)? {
            disk.remove(&aside).map_err(fail)?;
        }
        let file = disk.create(&aside).map_err(fail)?;
        let at = Position { file: number, offset: HEADER_BYTES as u64, cycle: before.cycle, chain: before.chain };
        let mut next = Self { file, at, room: sizes.file_bytes + sizes.kept_bytes, aside };
        next.fill(files, sizes)
            .and_then(|()| next.sync_directory(files))
            .inspect_err(|_| discard(disk, &next.aside))?;
        Ok(next)
    }

    fn fill(&mut self, files: &LogFiles, sizes: Sizes) -> Result<()> {
        let fail = |e: std::io::Error| failed("create", &self.aside, &e);
        let header = Header {
            kind: FileKind::Log,
            store: files.store(),
            number: u64::from(self.at.file),
            base: self.at.cycle + 1,
            chain: self.at.chain,
        };
        self.file.write_all_at(&header.encode(), 0).map_err(fail)?;
        if self.file.allocate(self.room).is_err() {
            // Part of it is better than none: the log grows as long as there is space.
            self.room = self.at.offset + 2 * sizes.kept_bytes;
            self.file.set_len(self.at.offset).and_then(|()| self.file.allocate(self.room)).map_err(fail)?;
        }
        self.file.sync().map_err(|e| unsynced(&self.aside, &e))
    }

    /// A directory is opened to be synced: that there is a descriptor for it, beside the file's own, is found out while
    /// nothing counts yet.
    fn sync_directory(&self, files: &LogFiles) -> Result<()> {
        files.disk().sync_directory(files.directory()).map_err(|e| {
            let error = failed("sync the directory of", &self.aside, &e);
            if error.reason() == Reason::StorageFull { error } else { unsynced(&self.aside, &e) }
        })
    }

    fn put_in_place(self, files: &LogFiles) -> Result<Position> {
        let (path, disk) = (files.path(self.at.file), files.disk());
        if let Err(e) = disk.rename(&self.aside, &path) {
            let error = failed("rename to", &path, &e);
            discard(disk, &self.aside);
            // Only a full disk is known to have changed nothing.
            return Err(if error.reason() == Reason::StorageFull { error } else { unsynced(&path, &e) });
        }
        if let Err(e) = disk.sync_directory(files.directory()) {
            let error = failed("sync the directory of", &path, &e);
            let undone = disk.remove(&path).and_then(|()| disk.sync_directory(files.directory()));
            let passes = undone.is_ok() && error.reason() == Reason::StorageFull;
            return Err(if passes { error } else { unsynced(&path, &e) });
        }
        files.put(self.at.file, self.file);
        Ok(self.at)
    }
}

fn unsynced(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Reason::SyncFailed, format!("sync {}: {error}", path.display()))
}

impl Cycle {
    fn here(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub const fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Where each of a mutation's blocks would go, in order: the plan's effects need it before anything is appended.
    pub fn places(&self, blocks: &[Block]) -> Vec<Place> {
        let mut offset = self.here();
        let mut places = Vec::with_capacity(blocks.len());
        for block in blocks {
            let len = block.bytes().len() as u32;
            places.push(Place { file: self.file, offset, len });
            offset += crate::format::frame::BLOCK_PREFIX_BYTES as u64 + u64::from(len);
        }
        places
    }

    /// Appends a mutation: its blocks, then its intent.
    pub fn mutation(&mut self, checked: &Checked, events: &[Event], stamp: Stamp, effects: u32, repo: RepoId) {
        self.blocks(&checked.mutation().blocks);
        let crc = append(&mut self.bytes, FrameKind::Intent, |out| {
            Intent::append(out, checked, stamp, effects, repo, events.len() as u32);
        });
        self.frame(crc);
    }

    /// Appends blocks, which the next intent or step is to name.
    pub fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            let crc = append_block(&mut self.bytes, &block.cid(), block.bytes());
            self.frame(crc);
        }
    }

    /// Appends a maintenance step.
    pub fn maintenance(&mut self, step: &Maintenance) {
        let crc = append(&mut self.bytes, FrameKind::Maintenance, |out| step.append(out));
        self.frame(crc);
    }

    fn frame(&mut self, crc: u32) {
        self.frames += 1;
        self.chain.frame(crc);
    }
}
