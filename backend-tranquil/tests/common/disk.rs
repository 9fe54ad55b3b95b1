//! A disk that counts and fails on demand, over the real one.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend_tranquil::io::{Disk, File, Map, RealDisk};

/// What goes wrong, for files whose path ends so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes find no space, after so many bytes.
    Full(&'static str, usize),
    /// Syncs fail.
    Sync(&'static str),
    /// Reads fail.
    Read(&'static str),
}

#[derive(Default)]
pub struct Faults {
    pub fault: Mutex<Option<Fault>>,
    pub log_syncs: AtomicU64,
    pub log_writes: AtomicU64,
}

impl Faults {
    pub fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
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
    name: String,
    faults: Arc<Faults>,
}

impl FaultDisk {
    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        // A log file is made aside, and renamed.
        let in_log = path.parent().is_some_and(|p| p.ends_with("log")) && path.extension().is_some_and(|e| e == "tmp");
        let path = if in_log { path.with_extension("log") } else { path.to_owned() };
        Arc::new(FaultFile { file, name: path.display().to_string(), faults: Arc::clone(&self.0) })
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, RealDisk.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
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
        RealDisk.sync_directory(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.faults.is(|f| matches!(f, Fault::Read(end) if self.name.ends_with(end))) {
            return Err(io::Error::other("a read that fails"));
        }
        self.file.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let full = *self.faults.fault.lock().unwrap();
        if let Some(Fault::Full(end, bytes)) = full
            && self.name.ends_with(end)
        {
            self.file.write_all_at(&buf[..bytes.min(buf.len())], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.name.ends_with(".log") {
            self.faults.log_writes.fetch_add(1, Ordering::SeqCst);
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
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn map(&self, len: u64) -> io::Result<Option<Map>> {
        self.file.map(len)
    }
}
