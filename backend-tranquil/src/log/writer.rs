//! Appending cycles: one write, one sync.

use std::sync::Arc;

use backend_api::mutation::Event;
use backend_api::{Block, Error, Mutation, Reason, RepoId, Result, Stamp};

use super::LogFiles;
use crate::format::frame::{Chain, CycleEnd, FrameKind, append, append_block};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::intent::{Intent, Maintenance};
use crate::format::value::Place;
use crate::io::{File, failed};

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
    file_bytes: u64,
    buffer: Vec<u8>,
}

/// A cycle that is being put together in memory.
pub struct Cycle {
    bytes: Vec<u8>,
    file: u32,
    start: u64,
    frames: u32,
    chain: Chain,
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
    pub fn resume(files: Arc<LogFiles>, at: Position, file_bytes: u64) -> Result<Self> {
        let file = files.get(at.file)?;
        Ok(Self { files, file, at, file_bytes, buffer: Vec::new() })
    }

    /// Begins a log with its first file.
    pub fn create(files: Arc<LogFiles>, file_bytes: u64) -> Result<Self> {
        let before = Position { file: 0, offset: 0, cycle: 0, chain: 0 };
        let (file, at) = begin_file(&files, before, file_bytes)?;
        Ok(Self { files, file, at, file_bytes, buffer: Vec::new() })
    }

    pub const fn position(&self) -> Position {
        self.at
    }

    /// True if the next cycle would begin a new file.
    pub const fn is_file_full(&self) -> bool {
        self.at.offset >= self.file_bytes
    }

    /// Seals the current file and begins the next one. After an error the current file still takes cycles.
    pub fn rotate(&mut self) -> Result<()> {
        self.close()?;
        (self.file, self.at) = begin_file(&self.files, self.at, self.file_bytes)?;
        Ok(())
    }

    /// Starts to put a cycle together.
    pub fn begin(&mut self) -> Cycle {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        Cycle { bytes, file: self.at.file, start: self.at.offset, frames: 0, chain: Chain::after(self.at.chain) }
    }

    /// Writes the cycle and syncs it: one write, one sync. The cycle counts if and only if this returns `Ok`.
    pub fn commit(&mut self, mut cycle: Cycle) -> Result<u64, Failed> {
        let end = CycleEnd {
            cycle: self.at.cycle + 1,
            start: cycle.start,
            end: cycle.start + cycle.bytes.len() as u64,
            frames: cycle.frames,
            chain: cycle.chain.value(),
        };
        end.append(&mut cycle.bytes, self.files.store());
        let path = self.files.path(self.at.file);
        if let Err(e) = self.file.write_all_at(&cycle.bytes, cycle.start) {
            let error = failed("append to", &path, &e);
            // A full disk is no damage: what was written of the cycle is cut off, and its end was not reached.
            let cut = self.file.set_len(cycle.start).and_then(|()| self.file.sync());
            return Err(match cut {
                Ok(()) if error.reason() == Reason::StorageFull => Failed::NotWritten(error),
                _ => Failed::Unknown(error),
            });
        }
        if let Err(e) = self.file.sync() {
            let detail = format!("sync {}: {e}", path.display());
            return Err(Failed::Unknown(Error::new(Reason::SyncFailed, detail)));
        }
        let written = cycle.bytes.len() as u64;
        self.at.offset += written;
        self.at.cycle = end.cycle;
        self.at.chain = end.chain;
        self.buffer = cycle.bytes;
        Ok(written)
    }

    /// Gives a cycle's memory back without writing it.
    pub fn discard(&mut self, cycle: Cycle) {
        self.buffer = cycle.bytes;
    }

    /// Cuts off the preallocated rest, so that the next open has nothing to search.
    pub fn close(&mut self) -> Result<()> {
        let path = self.files.path(self.at.file);
        self.file.set_len(self.at.offset).map_err(|e| failed("close", &path, &e))?;
        let sync = |e: std::io::Error| Error::new(Reason::SyncFailed, format!("sync {}: {e}", path.display()));
        self.file.sync().map_err(sync)
    }
}

fn begin_file(files: &LogFiles, before: Position, file_bytes: u64) -> Result<(Arc<dyn File>, Position)> {
    let number = before.file + 1;
    let path = files.path(number);
    let aside = path.with_extension("tmp");
    let fail = |e: std::io::Error| failed("create", &path, &e);
    let disk = files.disk();
    // Aside, so that a file of that name is one that counts: what an attempt leaves is never taken for a log file.
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let file = disk.create(&aside).map_err(fail)?;
    let header = Header {
        kind: FileKind::Log,
        store: files.store(),
        number: u64::from(number),
        base: before.cycle + 1,
        chain: before.chain,
    };
    file.write_all_at(&header.encode(), 0).map_err(fail)?;
    file.allocate(file_bytes).map_err(fail)?;
    let sync = |e: std::io::Error| Error::new(Reason::SyncFailed, format!("sync {}: {e}", path.display()));
    file.sync().map_err(sync)?;
    disk.rename(&aside, &path).map_err(sync)?;
    disk.sync_directory(files.directory()).map_err(sync)?;
    files.put(number, Arc::clone(&file));
    let at = Position { file: number, offset: HEADER_BYTES as u64, cycle: before.cycle, chain: before.chain };
    Ok((file, at))
}

impl Cycle {
    fn here(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub const fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Where each of a mutation's blocks would go, in order: the plan's effects need it before anything is appended.
    pub fn places(&self, blocks: &[Block]) -> Vec<Place> {
        let mut offset = self.here();
        let mut places = Vec::with_capacity(blocks.len());
        for block in blocks {
            let len = block.bytes.len() as u32;
            places.push(Place { file: self.file, offset, len });
            offset += crate::format::frame::BLOCK_PREFIX_BYTES as u64 + u64::from(len);
        }
        places
    }

    /// Appends a mutation: its blocks, then its intent.
    pub fn mutation(&mut self, mutation: &Mutation, events: &[Event], stamp: Stamp, effects: u32, repo: RepoId) {
        for block in &mutation.blocks {
            let crc = append_block(&mut self.bytes, &block.cid, &block.bytes);
            self.frame(crc);
        }
        let crc = append(&mut self.bytes, FrameKind::Intent, |out| {
            Intent::append(out, mutation, stamp, effects, repo, events.len() as u32);
        });
        self.frame(crc);
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
