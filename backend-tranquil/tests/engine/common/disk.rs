//! A disk that counts and fails on demand, over the real one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend_tranquil::io::{Disk, File, Map, RealDisk};

/// What goes wrong, for files whose path ends so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes find no space, after so many bytes, as where space cannot be reserved.
    Full(&'static str, usize),
    /// Nothing grows: no creation, no allocation, no write beyond what is allocated.
    NoRoom(&'static str),
    /// Nothing is written anew beside its file, and whoever reads all of that at once gets one wrong byte, the first time.
    NoCopyBadTail(&'static str),
    /// Syncs fail.
    Sync(&'static str),
    /// Reads fail.
    Read(&'static str),
    /// Sidecars are read wrongly, and so is the header of a segment, once.
    BadReads,
    /// Whoever reads all of it at once gets one wrong byte at its end, the first time.
    BadTail(&'static str),
    /// What the file has from an offset on is read as the zeros that were there before, the first times.
    Stale(&'static str, u64, u64),
    /// Renames to it find no space.
    Rename(&'static str),
    /// The next sync of the directory finds no space.
    Directory(&'static str),
    /// The next sync of the directory `log`, after a rename to it.
    Renamed(&'static str),
    /// There are no descriptors: nothing is opened.
    Descriptors,
    /// A file takes the last descriptor: the directory is not opened.
    LastDescriptor(&'static str),
    /// The file goes, for good, in the moment in which it is about to be opened.
    Gone(&'static str),
    /// Files cannot be cut.
    Cut(&'static str),
    /// Writes change one byte on their way. Of files that have this in their path.
    Flip(&'static str),
}

/// What is free, `None`: no end of it, and what each file has.
#[derive(Default)]
struct Space {
    free: Option<u64>,
    files: HashMap<PathBuf, Arc<AtomicU64>>,
}

#[derive(Default)]
pub struct Faults {
    pub fault: Mutex<Option<Fault>>,
    space: Mutex<Space>,
    /// The system has all bytes in memory, and says so.
    pub in_memory: AtomicBool,
    pub log_syncs: AtomicU64,
    pub log_writes: AtomicU64,
    /// What was read wrongly and is read rightly from then on.
    bad_once: AtomicU64,
    pub segment_syncs: AtomicU64,
    pub segment_writes: AtomicU64,
    /// Bytes of those writes.
    pub log_written_bytes: AtomicU64,
    /// Those that went beyond what was written of the file before.
    pub log_extensions: AtomicU64,
}

impl Faults {
    pub fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// From now on so many bytes are free, allocations counted.
    pub fn quota(&self, free: Option<u64>) {
        self.space.lock().unwrap().free = free;
    }

    /// Bytes that are free.
    pub fn free(&self) -> Option<u64> {
        self.space.lock().unwrap().free
    }

    /// What a file has, known by its path from its first opening on.
    fn size_of(&self, path: &Path) -> Arc<AtomicU64> {
        let mut space = self.space.lock().unwrap();
        let size = space.files.entry(path.to_owned()).or_insert_with(|| {
            let len = std::fs::metadata(path).map_or(0, |m| m.len());
            Arc::new(AtomicU64::new(len))
        });
        Arc::clone(size)
    }

    /// Gives a file up to that size, as far as there is space; what it has then.
    fn grow(&self, size: &AtomicU64, to: u64, all: bool) -> u64 {
        let mut space = self.space.lock().unwrap();
        let now = size.load(Ordering::SeqCst);
        let wanted = to.saturating_sub(now);
        let given = match &mut space.free {
            Some(free) if *free < wanted && all => 0,
            Some(free) => {
                let given = wanted.min(*free);
                *free -= given;
                given
            }
            None => wanted,
        };
        size.store(now + given, Ordering::SeqCst);
        now + given
    }

    fn shrink(&self, size: &AtomicU64, to: u64) {
        let mut space = self.space.lock().unwrap();
        let now = size.fetch_min(to, Ordering::SeqCst);
        if let Some(free) = &mut space.free {
            *free += now.saturating_sub(to);
        }
    }

    fn gone(&self, path: &Path) {
        let size = self.space.lock().unwrap().files.remove(path);
        if let Some(size) = size {
            self.shrink(&size, 0);
        }
    }

    fn descriptor(&self) -> io::Result<()> {
        if self.is(|f| f == Fault::Descriptors) { Err(rustix::io::Errno::MFILE.into()) } else { Ok(()) }
    }

    fn is(&self, test: impl Fn(Fault) -> bool) -> bool {
        self.fault.lock().unwrap().is_some_and(test)
    }
}

/// The disk.
#[derive(Default)]
pub struct FaultDisk(pub Arc<Faults>);

struct FaultFile {
    file: Arc<dyn File>,
    path: String,
    /// The path that it will have.
    name: String,
    size: Arc<AtomicU64>,
    /// Up to where it was written.
    written: AtomicU64,
    faults: Arc<Faults>,
}

impl FaultDisk {
    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        let (size, real) = (self.0.size_of(path), path.display().to_string());
        // A log file is made aside, and renamed.
        let in_log = path.parent().is_some_and(|p| p.ends_with("log")) && path.extension().is_some_and(|e| e == "tmp");
        let path = if in_log { path.with_extension("log") } else { path.to_owned() };
        let (name, written, faults) = (path.display().to_string(), AtomicU64::new(0), Arc::clone(&self.0));
        Arc::new(FaultFile { file, path: real, name, size, written, faults })
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.descriptor()?;
        if self.0.is(|f| matches!(f, Fault::Gone(end) if path.display().to_string().ends_with(end))) {
            RealDisk.remove(path)?;
        }
        Ok(self.wrap(path, RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.descriptor()?;
        let name = path.display().to_string();
        let has_no_room = |f| match f {
            Fault::NoRoom(end) => name.ends_with(end),
            Fault::NoCopyBadTail(_) => name.ends_with("rewrite-tmp"),
            _ => false,
        };
        if self.0.is(has_no_room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.wrap(path, RealDisk.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.is(|f| matches!(f, Fault::Rename(end) if to.display().to_string().ends_with(end))) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.rename(from, to)?;
        if self.0.is(|f| matches!(f, Fault::Renamed(end) if to.display().to_string().ends_with(end))) {
            self.0.set(Some(Fault::Directory("log")));
        }
        self.0.gone(to);
        let mut space = self.0.space.lock().unwrap();
        if let Some(size) = space.files.remove(from) {
            space.files.insert(to.to_owned(), size);
        }
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        self.0.gone(path);
        Ok(())
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.0.descriptor()?;
        if self.0.is(|f| matches!(f, Fault::LastDescriptor(end) if path.ends_with(end))) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if self.0.is(|f| matches!(f, Fault::Directory(end) if path.ends_with(end))) {
            self.0.set(None);
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.sync_directory(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
}

impl FaultFile {
    fn has_no_room(&self, end: u64) -> bool {
        let grows = end > self.size.load(Ordering::SeqCst);
        grows && self.faults.is(|f| matches!(f, Fault::NoRoom(end) if self.name.ends_with(end)))
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.faults.is(|f| matches!(f, Fault::Read(end) if self.name.ends_with(end))) {
            return Err(io::Error::other("a read that fails"));
        }
        let read = self.file.read_at(buf, offset)?;
        if self.faults.is(|f| f == Fault::BadReads) {
            let is_header = self.name.ends_with(".segment") && buf.len() == 64;
            let is_bad =
                self.name.ends_with(".parity") || is_header && self.faults.bad_once.fetch_add(1, Ordering::SeqCst) == 0;
            buf.iter_mut().skip(40).take(usize::from(is_bad)).for_each(|byte| *byte ^= 1);
        }
        if let Some(Fault::Stale(end, from, times)) = *self.faults.fault.lock().unwrap()
            && self.name.ends_with(end)
            && offset + read as u64 > from
            && self.faults.bad_once.fetch_add(1, Ordering::SeqCst) < times
        {
            buf[..read].iter_mut().skip(from.saturating_sub(offset) as usize).for_each(|byte| *byte = 0);
        }
        let is_whole = offset == 0 && self.file.len()? == read as u64;
        if is_whole
            && self
                .faults
                .is(|f| matches!(f, Fault::BadTail(end) | Fault::NoCopyBadTail(end) if self.name.ends_with(end)))
            && self.faults.bad_once.fetch_add(1, Ordering::SeqCst) == 0
        {
            buf[..read].iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
        }
        Ok(read)
    }

    fn read_at_once(&self, buf: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if self.faults.in_memory.load(Ordering::SeqCst) { self.read_at(buf, offset).map(Some) } else { Ok(None) }
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let full = *self.faults.fault.lock().unwrap();
        if let Some(Fault::Flip(part)) = full
            && self.path.contains(part)
        {
            let mut bytes = buf.to_vec();
            bytes[buf.len() / 2] ^= 1;
            return self.file.write_all_at(&bytes, offset);
        }
        if let Some(Fault::Full(end, bytes)) = full
            && self.name.ends_with(end)
        {
            self.file.write_all_at(&buf[..bytes.min(buf.len())], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.name.ends_with(".segment") {
            self.faults.segment_writes.fetch_add(1, Ordering::SeqCst);
        }
        let end = offset + buf.len() as u64;
        if self.has_no_room(end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let has = self.faults.grow(&self.size, end, false);
        if has < end {
            let fits = has.saturating_sub(offset).min(buf.len() as u64) as usize;
            self.file.write_all_at(&buf[..fits], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.name.ends_with(".log") {
            self.faults.log_writes.fetch_add(1, Ordering::SeqCst);
            self.faults.log_written_bytes.fetch_add(buf.len() as u64, Ordering::SeqCst);
            if self.written.fetch_max(end, Ordering::SeqCst) < end {
                self.faults.log_extensions.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.file.write_all_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.faults.is(|f| matches!(f, Fault::Sync(end) if self.name.ends_with(end))) {
            return Err(io::Error::other("a sync that fails"));
        }
        if self.name.ends_with(".log") {
            self.faults.log_syncs.fetch_add(1, Ordering::SeqCst);
        }
        if self.name.ends_with(".segment") {
            self.faults.segment_syncs.fetch_add(1, Ordering::SeqCst);
        }
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.faults.is(|f| matches!(f, Fault::Cut(end) if self.name.ends_with(end))) {
            return Err(io::Error::other("a cut that fails"));
        }
        self.faults.shrink(&self.size, len);
        self.file.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.has_no_room(len) || self.faults.grow(&self.size, len, true) < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.allocate(len)
    }
    fn map(&self, len: u64) -> io::Result<Option<Map>> {
        self.file.map(len)
    }
}
