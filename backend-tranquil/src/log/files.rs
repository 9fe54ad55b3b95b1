//! The log's files by number, and blocks by place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use backend_api::{Cid, Error, Reason, Result};
use bytes::Bytes;

use super::Position;
use crate::format::frame::{BLOCK_PREFIX_BYTES, FrameKind, Parsed, parse};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::value::Place;
use crate::format::{StoreId, number_in};

use crate::io::{Disk, File, failed, read_up_to};
use crate::parity;

/// Descriptors that are kept open at the most; beyond it the lowest-numbered file is closed. A reader that has it goes on.
const OPEN_FILES_MAX: usize = 512;

/// Digits of a log file's name.
const DIGITS: usize = 10;

/// How the names of torn tails begin, which are kept.
const TORN: &str = "torn-";

/// The number of a log's first file. None is ever removed.
pub const FIRST: u32 = 1;

/// Opens, reads and lists log files.
pub struct LogFiles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    store: StoreId,
    open: RwLock<BTreeMap<u32, Arc<dyn File>>>,
}

impl LogFiles {
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, store: StoreId) -> Self {
        Self { disk, directory, store, open: RwLock::new(BTreeMap::new()) }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub const fn store(&self) -> StoreId {
        self.store
    }

    pub fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number:0DIGITS$}.log"))
    }

    /// Where the torn tail behind a position is kept.
    pub fn torn_path(&self, at: Position) -> PathBuf {
        self.directory.join(format!("{TORN}{:0DIGITS$}-{}", at.file, at.offset))
    }

    fn names(&self) -> Result<Vec<String>> {
        self.disk.list(&self.directory).map_err(|e| failed("list", &self.directory, &e))
    }

    /// Numbers of the files that are there, in order.
    pub fn numbers(&self) -> Result<Vec<u32>> {
        Ok(self.names()?.iter().filter_map(|name| number_of(name, ".log")).collect())
    }

    /// The first file that is not there, though a later one is.
    pub fn missing(&self) -> Result<Option<PathBuf>> {
        let numbers = self.numbers()?;
        let gap = (FIRST..).zip(numbers).find(|(expected, number)| number != expected);
        Ok(gap.map(|(expected, _)| self.path(expected)))
    }

    /// A file after the newest one, if it was lost: something of its number is there.
    pub fn lost_end(&self) -> Result<Option<PathBuf>> {
        let names = self.names()?;
        let newest = names.iter().filter_map(|name| number_of(name, ".log")).max();
        let told = names.iter().filter_map(|name| told_by(name)).max();
        Ok(told.filter(|told| Some(*told) > newest).map(|lost| self.path(lost)))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => is_gone(path),
            _ => failed("open", path, &e),
        })
    }

    /// The file, opened and its header checked.
    pub fn get(&self, number: u32) -> Result<Arc<dyn File>> {
        if let Some(file) = self.open.read().expect("no panic under this lock").get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(number);
        let file = self.open(&path)?;
        self.header_of(&*file, number)?;
        self.put(number, Arc::clone(&file));
        Ok(file)
    }

    pub fn header(&self, number: u32) -> Result<Header> {
        let path = self.path(number);
        let file = self.open(&path)?;
        self.header_of(&*file, number)
    }

    fn header_of(&self, file: &dyn File, number: u32) -> Result<Header> {
        let path = self.path(number);
        let bytes = read_up_to(file, HEADER_BYTES, 0).map_err(|e| failed("read", &path, &e))?;
        let header = Header::decode(&bytes, FileKind::Log, Some(self.store), &path)?;
        if header.number == u64::from(number) {
            return Ok(header);
        }
        let detail =
            format!("{}: is log file {}, expected {number}; nothing was changed", path.display(), header.number);
        Err(Error::new(Reason::WrongStore, detail))
    }

    pub fn put(&self, number: u32, file: Arc<dyn File>) {
        let mut open = self.open.write().expect("no panic under this lock");
        open.insert(number, file);
        if open.len() > OPEN_FILES_MAX {
            open.pop_first();
        }
    }

    pub fn forget(&self, number: u32) {
        self.open.write().expect("no panic under this lock").remove(&number);
    }

    /// The bytes of a block.
    pub fn block(&self, place: Place, cid: &Cid) -> Result<Bytes> {
        let file = self.get(place.file)?;
        let len = BLOCK_PREFIX_BYTES + place.len as usize;
        let bytes = read_up_to(&*file, len, place.offset)
            .map_err(|e| failed("read", &self.path(place.file), &e).context(format!("offset {}", place.offset)))?;
        block_of(bytes, cid).map_err(|why| {
            let path = self.path(place.file);
            let detail = format!("{}: offset {}: block {cid}: {why}", path.display(), place.offset);
            Error::new(Reason::DataCorrupt, detail)
        })
    }

    /// The same, if the file is open and the system has the bytes in memory. Nothing is waited for; whatever is not as it
    /// should be is for [`LogFiles::block`].
    pub fn block_at_once(&self, place: Place, cid: &Cid) -> Option<Bytes> {
        let file = self.open.try_read().ok()?.get(&place.file).map(Arc::clone)?;
        let mut frame = vec![0; BLOCK_PREFIX_BYTES + place.len as usize];
        let read = file.read_at_once(&mut frame, place.offset).ok()??;
        if read < frame.len() {
            return None;
        }
        block_of(frame, cid).ok()
    }

    /// The bytes of a block whose frame is damaged, if the file's sidecar tells what stood there.
    pub fn block_of_sidecar(&self, place: Place, cid: &Cid) -> Option<Bytes> {
        let len = BLOCK_PREFIX_BYTES + place.len as usize;
        let bytes = parity::mended(&*self.disk, &self.path(place.file), self.store, place.offset, len)?;
        block_of(bytes, cid).ok()
    }

    /// Bytes of all files.
    pub fn disk_bytes(&self) -> u64 {
        let numbers = self.numbers().unwrap_or_default();
        numbers.into_iter().filter_map(|n| self.get(n).ok()?.len().ok()).sum()
    }
}

/// The number of the log file that a name is of.
pub fn number_of(name: &str, ending: &str) -> Option<u32> {
    number_in(name, DIGITS, ending)?.try_into().ok()
}

/// The number of the log file that a name tells of: its own, or that of its sidecar, its hint file, or what was kept of it.
fn told_by(name: &str) -> Option<u32> {
    let (number, ending) = name.strip_prefix(TORN).unwrap_or(name).split_once(['.', '-'])?;
    // What is being made may never count.
    number_of(number, "").filter(|_| !ending.ends_with("tmp"))
}

/// The block of a frame, which is the block with that CID: the frame's checksum and its CID are compared.
fn block_of(frame: Vec<u8>, cid: &Cid) -> Result<Bytes, &'static str> {
    match parse(&frame) {
        Parsed::Frame(found) if found.kind == FrameKind::Block && found.payload.starts_with(&cid.to_key()) => {
            Ok(Bytes::from(frame).slice(BLOCK_PREFIX_BYTES..))
        }
        Parsed::Frame(_) => Err("another block stands there"),
        Parsed::Short(_) => Err("the file ends too early"),
        Parsed::Bad(why) => Err(why),
    }
}

/// The error about a file that is not there.
pub fn is_gone(path: &Path) -> Error {
    let detail = format!(
        "{}: the file is missing, and acknowledged data with it; nothing was changed: restore the file",
        path.display()
    );
    Error::new(Reason::DataCorrupt, detail)
}
