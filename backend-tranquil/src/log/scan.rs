//! Reading cycles back, in order.

use std::path::PathBuf;
use std::sync::Arc;

use backend_api::{Block, Cid, Error, Reason, Result};
use bytes::Bytes;

use super::{LogFiles, Position};
use crate::format::frame::{
    BLOCK_PREFIX_BYTES, Chain, CycleEnd, FRAME_HEADER_BYTES, FrameKind, PAYLOAD_BYTES_MAX, Parsed, parse,
};
use crate::format::header::HEADER_BYTES;
use crate::format::intent::{Intent, Maintenance};
use crate::format::value::Place;
use crate::io::{File, failed, read_up_to};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// A read that fails is tried this often: one bad read must not pass for the end of the log.
const READ_TRIES: usize = 3;

/// Where a scan starts.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// Right behind a known cycle.
    After(Position),
    /// At the first cycle of a file.
    File(u32),
}

/// A cycle, complete and verified.
#[derive(Debug)]
pub struct ScannedCycle {
    /// Where it began.
    pub file: u32,
    /// Offset of its first frame.
    pub start: u64,
    /// Its end.
    pub end: CycleEnd,
    /// What is in it.
    pub items: Vec<Item>,
}

/// A mutation or maintenance step of a cycle.
#[derive(Debug)]
pub enum Item {
    /// A mutation, its blocks and their places.
    Mutation(Box<Intent>, Vec<Block>, Vec<Place>),
    /// A maintenance step.
    Maintenance(Maintenance),
}

/// What a scan comes upon.
#[derive(Debug)]
pub enum Scanned {
    /// A cycle.
    Cycle(ScannedCycle),
    /// No further valid cycle here: where, and why not. Whether that is the end is for [`classify`](super::classify).
    Stop(Position, String),
}

/// Reads cycles one after the other, over the files.
pub struct CycleScan {
    files: Arc<LogFiles>,
    file: Arc<dyn File>,
    path: PathBuf,
    at: Position,
    last: u32,
    chunk: Bytes,
    chunk_start: u64,
}

impl CycleScan {
    /// Opens the scan.
    pub fn new(files: Arc<LogFiles>, start: Start) -> Result<Self> {
        let numbers = files.numbers()?;
        let last = numbers.last().copied().unwrap_or(0);
        let at = match start {
            Start::After(at) => at,
            Start::File(number) => start_of(&files, number)?,
        };
        let file = files.get(at.file)?;
        let path = files.path(at.file);
        Ok(Self { files, file, path, at, last, chunk: Bytes::new(), chunk_start: 0 })
    }

    /// Behind the newest cycle that was read.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// The next cycle, or where there is none.
    pub fn next(&mut self) -> Result<Scanned> {
        match self.cycle()? {
            Ok(cycle) => Ok(Scanned::Cycle(cycle)),
            Err(why) if self.at.file < self.last && self.is_end_of_file()? => {
                let next = start_of(&self.files, self.at.file + 1)?;
                if (next.cycle, next.chain) != (self.at.cycle, self.at.chain) {
                    let why = format!("{why}; the next file starts after cycle {}", next.cycle);
                    return Ok(Scanned::Stop(self.at, why));
                }
                self.file = self.files.get(next.file)?;
                self.path = self.files.path(next.file);
                (self.at, self.chunk, self.chunk_start) = (next, Bytes::new(), 0);
                self.next()
            }
            Err(why) => Ok(Scanned::Stop(self.at, why)),
        }
    }

    fn is_end_of_file(&self) -> Result<bool> {
        let len = self.file.len().map_err(|e| failed("read", &self.path, &e))?;
        // A crash between the begin of the next file and the cut of this one leaves zeros.
        Ok(self.at.offset >= len || super::tail::is_zero(&*self.file, &self.path, self.at.offset)?)
    }

    fn cycle(&mut self) -> Result<Result<ScannedCycle, String>> {
        let start = self.at.offset;
        let mut offset = start;
        let mut chain = Chain::after(self.at.chain);
        let mut frames = 0;
        let mut blocks = Vec::new();
        let mut places = Vec::new();
        let mut items = Vec::new();
        loop {
            let bytes = self.frame_bytes(offset)?;
            let frame = match parse(&bytes) {
                Parsed::Frame(frame) => frame,
                Parsed::Short(_) => return Ok(Err(format!("offset {offset}: the file ends within a frame"))),
                Parsed::Bad(why) => return Ok(Err(format!("offset {offset}: {why}"))),
            };
            let (payload, next) = (frame.payload, offset + frame.len() as u64);
            match frame.kind {
                FrameKind::CycleEnd => {
                    let Some(end) = CycleEnd::decode(payload) else {
                        return Ok(Err(format!("offset {offset}: a malformed cycle end")));
                    };
                    let expected =
                        CycleEnd { cycle: self.at.cycle + 1, start, end: offset, frames, chain: chain.value() };
                    if end != expected || !blocks.is_empty() {
                        return Ok(Err(format!("offset {offset}: the end of another cycle ({})", end.cycle)));
                    }
                    let file = self.at.file;
                    self.at = Position { file, offset: next, cycle: end.cycle, chain: end.chain };
                    return Ok(Ok(ScannedCycle { file, start, end, items }));
                }
                FrameKind::Block => {
                    let cid = payload.get(..Cid::KEY_BYTES).map(Cid::from_key);
                    let Some(Ok(cid)) = cid else {
                        return Ok(Err(format!("offset {offset}: a block without a CID")));
                    };
                    let block = bytes.slice(BLOCK_PREFIX_BYTES..FRAME_HEADER_BYTES + payload.len());
                    places.push(Place { file: self.at.file, offset, len: block.len() as u32 });
                    blocks.push(Block { cid, bytes: block });
                }
                FrameKind::Intent => match Intent::decode(payload) {
                    Ok(intent) if intent.blocks as usize == blocks.len() => {
                        let (blocks, places) = (std::mem::take(&mut blocks), std::mem::take(&mut places));
                        items.push(Item::Mutation(Box::new(intent), blocks, places));
                    }
                    Ok(_) => return Ok(Err(format!("offset {offset}: an intent without its blocks"))),
                    Err(e) => return Err(self.unreadable(offset, &e)),
                },
                FrameKind::Maintenance => match Maintenance::decode(payload) {
                    Ok(step) => items.push(Item::Maintenance(step)),
                    Err(e) => return Err(self.unreadable(offset, &e)),
                },
                FrameKind::BlockHint => return Ok(Err(format!("offset {offset}: a frame of a hint file"))),
            }
            frames += 1;
            chain.frame(frame.crc);
            offset = next;
        }
    }

    /// A frame whose checksum is right and whose content this program does not understand: no torn write looks like that.
    fn unreadable(&self, offset: u64, error: &Error) -> Error {
        let detail = format!("{}: offset {offset}: {}; nothing was changed", self.path.display(), error.detail());
        Error::new(Reason::WrongStore, detail)
    }

    /// At least the whole frame at an offset, if the file has it.
    fn frame_bytes(&mut self, offset: u64) -> Result<Bytes> {
        let mut need = FRAME_HEADER_BYTES;
        loop {
            let skip = offset.checked_sub(self.chunk_start).map_or(usize::MAX, |s| s as usize);
            if skip >= self.chunk.len() || self.chunk.len() - skip < need {
                let len = need.max(CHUNK_BYTES);
                let read = self.read(len, offset)?;
                let short = read.len() < need;
                (self.chunk, self.chunk_start) = (Bytes::from(read), offset);
                if short {
                    return Ok(self.chunk.clone());
                }
                continue;
            }
            let bytes = self.chunk.slice(skip..);
            match parse(&bytes) {
                Parsed::Short(whole) if whole > need && whole <= FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX => need = whole,
                _ => return Ok(bytes),
            }
        }
    }

    fn read(&self, len: usize, offset: u64) -> Result<Vec<u8>> {
        let mut tries = 1;
        loop {
            match read_up_to(&*self.file, len, offset) {
                Ok(bytes) => return Ok(bytes),
                Err(_) if tries < READ_TRIES => tries += 1,
                Err(e) => return Err(failed("read", &self.path, &e).context(format!("offset {offset}"))),
            }
        }
    }
}

fn start_of(files: &LogFiles, number: u32) -> Result<Position> {
    let header = files.header(number)?;
    Ok(Position {
        file: number,
        offset: HEADER_BYTES as u64,
        cycle: header.base.saturating_sub(1),
        chain: header.chain,
    })
}
