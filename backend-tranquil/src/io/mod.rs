//! The seam between the engine and the world: disk, clock and entropy come in through one [`Env`].
//!
//! Production code and simulated code are the same code; only what stands behind these traits differs.

mod lock;
mod map;
mod real;
mod rewrite;

use std::io;
use std::path::Path;
use std::sync::Arc;

use backend_api::{Error, Micros, Reason};

pub use lock::DirectoryLock;
pub use map::Map;
pub use real::{RealClock, RealDisk, RealEntropy};
pub use rewrite::{discard, discard_unfinished, rewrite, rewrite_in_place, two_reads_differ};

/// Everything that the engine takes from outside.
#[derive(Clone)]
pub struct Env {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes: for the identity of a new store only.
    pub entropy: Arc<dyn Entropy>,
}

impl Env {
    /// The machine's own.
    #[must_use]
    pub fn real() -> Self {
        Self { disk: Arc::new(RealDisk), clock: Arc::new(RealClock), entropy: Arc::new(RealEntropy) }
    }
}

/// A file system. Nothing is durable, or ordered, before the sync that covers it: a file's bytes by [`File::sync`], a
/// created, renamed or removed name by [`Disk::sync_directory`].
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Creates a file for reading and writing; an error if it is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Renames, over whatever has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Creates a directory, readable by its owner only, and its parents; no error if it is there. The names of those that
    /// were made are durable when this returns.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// True if there is something of that name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
}

/// An open file. Reads and writes carry their offset, so that many threads share one descriptor.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file's length is asked of the system, and whether it is empty of nobody"
)]
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The same, if the system has the bytes in memory; `None` if it would have to wait for the disk, or does not tell.
    fn read_at_once(&self, _buf: &mut [u8], _offset: u64) -> io::Result<Option<usize>> {
        Ok(None)
    }
    /// Writes all of `buf`.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes bytes and size durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// The size.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space, and extends the file with zeros, up to `len`.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// A read-only mapping of the first `len` bytes of a file that no longer changes; `None` where there is none.
    fn map(&self, len: u64) -> io::Result<Option<Map>>;
}

/// Reads `len` bytes.
///
/// # Errors
/// `UnexpectedEof` if the file is shorter.
pub fn read_exact_at(file: &dyn File, len: usize, offset: u64) -> io::Result<Vec<u8>> {
    let buf = read_up_to(file, len, offset)?;
    if buf.len() == len { Ok(buf) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What is asked for at first, without knowing that the file has it.
const PIECE_BYTES: usize = 1 << 20;

/// Reads up to `len` bytes, fewer only at the end of the file. A length that damage made costs no memory beyond what the
/// file has, and a MiB.
pub fn read_up_to(file: &dyn File, len: usize, offset: u64) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; len.min(PIECE_BYTES)];
    read_over(file, &mut buf, len, offset)?;
    Ok(buf)
}

/// The same, over what is in a buffer: for those who read piece after piece. After an error it holds nothing of use.
pub fn read_over(file: &dyn File, buf: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
    // What it had is read over, not cleared before.
    buf.resize(len.min(buf.len().max(PIECE_BYTES)), 0);
    let mut done = 0;
    while done < len {
        if done == buf.len() {
            buf.resize(len.min(2 * done), 0);
        }
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buf.truncate(done);
    Ok(())
}

/// A clock.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Micros;
    /// Nanoseconds since some moment: for measuring only, never for a decision.
    fn monotonic_ns(&self) -> u64;
}

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `buf`.
    fn fill(&self, buf: &mut [u8]) -> io::Result<()>;
}

/// An I/O error in words: what was done to which file.
pub fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let reason = if is_short(error) { Reason::StorageFull } else { Reason::ReadFailed };
    Error::new(reason, format!("{what} {}: {error}", path.display()))
}

/// Errors of a system that has run out of descriptors, for everybody and for this process: `ENFILE` and `EMFILE`, as Linux,
/// the BSDs and macOS number them.
const DESCRIPTORS: [i32; 2] = [23, 24];

/// True if there was no space, or no descriptor: nothing was done, and it may be tried again when somebody gave some back.
pub fn is_short(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.raw_os_error().is_some_and(|number| DESCRIPTORS.contains(&number))
}
