//! Reading cycles back, in order.

use std::path::PathBuf;
use std::sync::Arc;

use backend_api::{Block, Cid, Error, Reason, Result};
use bytes::Bytes;

use super::{LogFiles, Position, hint};
use crate::format::StoreId;
use crate::format::frame::{
    BLOCK_PREFIX_BYTES, BlockHint, Chain, CycleEnd, FRAME_HEADER_BYTES, Frame, FrameKind, PAYLOAD_BYTES_MAX, Parsed,
    parse,
};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::intent::{Intent, Maintenance};
use crate::format::value::Place;
use crate::io::{File, failed, read_up_to};

/// Bytes that a scan reads at first: most want a cycle or two.
const CHUNK_BYTES_MIN: usize = 16 << 10;
/// Bytes that it reads at a time when it has come far: each read is twice the one before.
const CHUNK_BYTES_MAX: usize = 1 << 20;
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
    /// Where it begins, behind the cycle before it.
    pub before: Position,
    /// True if it was read from a hint file: its blocks have the right length and zeros for bytes.
    pub hinted: bool,
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
    /// The hint file that is read in place of the log file, and how far.
    hint: Option<(Arc<dyn File>, u64)>,
    with_hints: bool,
    chunk: Bytes,
    chunk_start: u64,
    chunk_bytes: usize,
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
        Ok(Self::at(files, file, path, at, last))
    }

    /// Reads the cycles of a copy of a log file, of that file only.
    pub fn of_copy(files: &Arc<LogFiles>, number: u32, file: Arc<dyn File>, path: PathBuf) -> Result<Self> {
        let head = read_up_to(&*file, HEADER_BYTES, 0).map_err(|e| failed("read", &path, &e))?;
        let header = Header::decode(&head, FileKind::Log, Some(files.store()), &path)?;
        let (files, at) = (Arc::clone(files), first_of(number, &header));
        Ok(Self::at(files, file, path, at, number))
    }

    fn at(files: Arc<LogFiles>, file: Arc<dyn File>, path: PathBuf, at: Position, last: u32) -> Self {
        let (chunk, chunk_start, chunk_bytes) = (Bytes::new(), 0, CHUNK_BYTES_MIN);
        Self { files, file, path, at, last, hint: None, with_hints: false, chunk, chunk_start, chunk_bytes }
    }

    /// Reads hint files where there are any: for those who need no bytes of blocks.
    pub fn with_hints(mut self) -> Self {
        self.with_hints = true;
        self.open_hint();
        self
    }

    /// Reads a cycle again, and what follows it in its file, from the log file itself.
    pub fn without_hint(&mut self, cycle: &ScannedCycle) {
        self.at = cycle.before;
        self.leave_hint();
    }

    fn leave_hint(&mut self) {
        (self.hint, self.chunk, self.chunk_start) = (None, Bytes::new(), 0);
    }

    fn open_hint(&mut self) {
        if self.with_hints && self.at.offset == HEADER_BYTES as u64 {
            self.hint = hint::open(&self.files, self.at.file).map(|file| (file, HEADER_BYTES as u64));
        }
    }

    /// Behind the newest cycle that was read.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// The next cycle, or where there is none.
    pub fn next(&mut self) -> Result<Scanned> {
        match self.cycle()? {
            Ok(cycle) => Ok(Scanned::Cycle(cycle)),
            // A hint file only ever saves reading: where it ends, or is damaged, the log file goes on.
            Err(_) if self.hint.is_some() => {
                self.leave_hint();
                self.next()
            }
            Err(why) if self.at.file < self.last && self.is_end_of_file()? => {
                let next = start_of(&self.files, self.at.file + 1)?;
                if (next.cycle, next.chain) != (self.at.cycle, self.at.chain) {
                    let why = format!("{why}; the next file starts after cycle {}", next.cycle);
                    return Ok(Scanned::Stop(self.at, why));
                }
                self.file = self.files.get(next.file)?;
                self.path = self.files.path(next.file);
                (self.at, self.chunk, self.chunk_start) = (next, Bytes::new(), 0);
                self.open_hint();
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
        let before = self.at;
        let mut draft = Draft::new(self.files.store(), before);
        // Offset in the log file, and in the file that is read: these differ in a hint file.
        let mut offset = before.offset;
        let mut source = self.hint.as_ref().map_or(offset, |(_, at)| *at);
        loop {
            let bytes = self.frame_bytes(source)?;
            let frame = match parse(&bytes) {
                Parsed::Frame(frame) if frame.kind == FrameKind::BlockHint && self.hint.is_none() => {
                    return Ok(Err(format!("offset {offset}: a hint stands where a block belongs")));
                }
                Parsed::Frame(frame) => frame,
                Parsed::Short(_) => return Ok(Err(format!("offset {offset}: the file ends within a frame"))),
                Parsed::Bad(why) => return Ok(Err(format!("offset {offset}: {why}"))),
            };
            source += frame.len() as u64;
            let taken = draft.frame(frame, &bytes, offset).map_err(|e| self.unreadable(offset, &e))?;
            match taken {
                Err(why) => return Ok(Err(format!("offset {offset}: {why}"))),
                Ok(Taken::Frame(len)) => offset += len,
                Ok(Taken::End(end)) => {
                    let next = offset + frame.len() as u64;
                    self.at = Position { file: before.file, offset: next, cycle: end.cycle, chain: end.chain };
                    if let Some((_, at)) = &mut self.hint {
                        *at = source;
                    }
                    let hinted = self.hint.is_some();
                    return Ok(Ok(ScannedCycle { before, hinted, end, items: draft.items }));
                }
            }
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
                let read = self.read(need.max(self.chunk_bytes), offset)?;
                self.chunk_bytes = CHUNK_BYTES_MAX.min(self.chunk_bytes * 2);
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
        let file = self.hint.as_ref().map_or(&self.file, |(file, _)| file);
        let mut tries = 1;
        loop {
            match read_up_to(&**file, len, offset) {
                Ok(bytes) => return Ok(bytes),
                // Of a hint file nothing is needed: it counts as ended.
                Err(_) if self.hint.is_some() => return Ok(Vec::new()),
                Err(_) if tries < READ_TRIES => tries += 1,
                Err(e) => return Err(failed("read", &self.path, &e).context(format!("offset {offset}"))),
            }
        }
    }
}

/// A cycle as far as it was read.
struct Draft {
    store: StoreId,
    before: Position,
    chain: Chain,
    frames: u32,
    blocks: Vec<Block>,
    places: Vec<Place>,
    items: Vec<Item>,
}

/// What a frame was.
enum Taken {
    /// Part of the cycle; this long in the log file.
    Frame(u64),
    /// Its end.
    End(CycleEnd),
}

impl Draft {
    fn new(store: StoreId, before: Position) -> Self {
        let chain = Chain::after(before.chain);
        Self { store, before, chain, frames: 0, blocks: Vec::new(), places: Vec::new(), items: Vec::new() }
    }

    /// Takes a frame in. The inner error says why it does not belong to the cycle, the outer one that this program does
    /// not understand it.
    fn frame(&mut self, frame: Frame<'_>, bytes: &Bytes, offset: u64) -> Result<Result<Taken, String>> {
        let payload = frame.payload;
        let (mut crc, mut len) = (frame.crc, frame.len() as u64);
        match frame.kind {
            FrameKind::CycleEnd => return Ok(self.end(payload, offset)),
            FrameKind::Block => {
                let cid = payload.get(..Cid::KEY_BYTES).map(Cid::from_key);
                let Some(Ok(cid)) = cid else { return Ok(Err("a block without a CID".into())) };
                let block = bytes.slice(BLOCK_PREFIX_BYTES..FRAME_HEADER_BYTES + payload.len());
                self.block(cid, block, offset);
            }
            FrameKind::BlockHint => {
                let Some(hint) = BlockHint::decode(payload).filter(|h| h.offset == offset) else {
                    return Ok(Err("a hint of another block".into()));
                };
                (crc, len) = (hint.crc, (BLOCK_PREFIX_BYTES + hint.len as usize) as u64);
                self.block(hint.cid, hint::zeros(hint.len), offset);
            }
            FrameKind::Intent => {
                let intent = Intent::decode(payload)?;
                if intent.blocks as usize != self.blocks.len() {
                    return Ok(Err("an intent without its blocks".into()));
                }
                let (blocks, places) = (std::mem::take(&mut self.blocks), std::mem::take(&mut self.places));
                self.items.push(Item::Mutation(Box::new(intent), blocks, places));
            }
            FrameKind::Maintenance => {
                let step = Maintenance::decode(payload)?;
                if step.blocks() != self.blocks.len() {
                    return Ok(Err("a maintenance step without its blocks".into()));
                }
                (self.blocks, self.places) = (Vec::new(), Vec::new());
                self.items.push(Item::Maintenance(step));
            }
        }
        self.frames += 1;
        self.chain.frame(crc);
        Ok(Ok(Taken::Frame(len)))
    }

    fn block(&mut self, cid: Cid, bytes: Bytes, offset: u64) {
        self.places.push(Place { file: self.before.file, offset, len: bytes.len() as u32 });
        self.blocks.push(Block::claimed(cid, bytes));
    }

    fn end(&self, payload: &[u8], offset: u64) -> Result<Taken, String> {
        let Some(end) = CycleEnd::decode(payload, self.store) else { return Err("a malformed cycle end".into()) };
        let expected = CycleEnd {
            cycle: self.before.cycle + 1,
            start: self.before.offset,
            end: offset,
            frames: self.frames,
            chain: self.chain.value(),
        };
        if end == expected && self.blocks.is_empty() {
            Ok(Taken::End(end))
        } else {
            Err(format!("the end of another cycle ({})", end.cycle))
        }
    }
}

fn start_of(files: &LogFiles, number: u32) -> Result<Position> {
    Ok(first_of(number, &files.header(number)?))
}

/// Where the first cycle of a file starts.
const fn first_of(number: u32, header: &Header) -> Position {
    let (offset, cycle) = (HEADER_BYTES as u64, header.base.saturating_sub(1));
    Position { file: number, offset, cycle, chain: header.chain }
}
