//! The real disk, with a count of the calls that change something: at one of them the process is killed.

use std::fs::File as Told;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend_tranquil::io::{Disk, File, Map, RealDisk};

/// When, about its last call, a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The call was not made.
    Before,
    /// Half of the bytes of a write are in the file. Of another call: it was not made.
    Within,
    /// The call was made, and nobody heard of it.
    After,
}

impl Side {
    pub const ALL: [Self; 3] = [Self::Before, Self::Within, Self::After];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Within => "within",
            Self::After => "after",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.name() == name)
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// The call, from 1; 0 for one that lives.
    pub call: u64,
    pub side: Side,
}

impl Death {
    pub const NONE: Self = Self { call: 0, side: Side::Before };
}

/// The disk. What it is asked is told to a file, call by call, if there is one.
#[derive(Clone)]
pub struct CountingDisk(Arc<Count>);

struct Count {
    calls: AtomicU64,
    death: Death,
    told: Option<Mutex<Told>>,
}

struct CountingFile(Arc<dyn File>, PathBuf, CountingDisk);

/// Ends this process as `kill -9` does: no handler runs, no buffer is written, what the kernel has it keeps.
fn die() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .expect("it may kill itself");
    // The signal comes before the call returns; if it could not, this ends the process as well.
    std::process::abort()
}

impl CountingDisk {
    pub fn new(death: Death, told: Option<Told>) -> Self {
        Self(Arc::new(Count { calls: AtomicU64::new(0), death, told: told.map(Mutex::new) }))
    }

    /// One call: it is made, unless the process dies of it. `half` makes half of it.
    fn call<T>(
        &self,
        what: &str,
        path: &Path,
        half: impl FnOnce() -> io::Result<()>,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(told) = &self.0.told {
            writeln!(told.lock().unwrap(), "{number} {what} {}", path.display())?;
        }
        let Death { call, side } = self.0.death;
        if number != call {
            return make();
        }
        match side {
            Side::Before => {}
            Side::Within => half()?,
            Side::After => drop(make()?),
        }
        die()
    }

    fn whole<T>(&self, what: &str, path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.call(what, path, || Ok(()), make)
    }

    fn file(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountingFile(file, path.to_owned(), self.clone()))
    }
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path, RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path, self.whole("create", path, || RealDisk.create(path))?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole("rename", to, || RealDisk.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole("remove", path, || RealDisk.remove(path))
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.whole("remove_directory", path, || RealDisk.remove_directory(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.whole("create_directory", path, || RealDisk.create_directory(path))
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.whole("sync_directory", path, || RealDisk.sync_directory(path))
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
}

impl File for CountingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let half = || self.0.write_all_at(&buf[..buf.len() / 2], offset);
        self.2.call("write", &self.1, half, || self.0.write_all_at(buf, offset))
    }
    fn sync(&self) -> io::Result<()> {
        self.2.whole("sync", &self.1, || self.0.sync())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.2.whole("set_len", &self.1, || self.0.set_len(len))
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.2.whole("allocate", &self.1, || self.0.allocate(len))
    }
    fn map(&self, len: u64) -> io::Result<Option<Map>> {
        self.0.map(len)
    }
}
