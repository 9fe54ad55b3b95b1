//! What this process has used.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{major, minor, syncfs};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of the process so far.
pub fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread so far.
pub fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// What was written so far. What the kernel counts for a process itself is of no use: it counts whole folios, of a megabyte
/// and more, for each write of some bytes into one.
#[derive(Clone, Copy)]
pub struct Written {
    call_bytes: u64,
    disk_bytes: Option<u64>,
}

impl Written {
    /// As of now, when all that was written before is on the disk of `directory`. Blocks until it is.
    pub fn now(directory: &Path) -> Self {
        let disk_bytes = disk_bytes(directory);
        Self { call_bytes: number("/proc/self/io", "wchar:").unwrap_or(0), disk_bytes }
    }

    /// Bytes that this process gave to write calls since `before`; 0 where the system does not tell.
    pub const fn call_bytes(self, before: Self) -> u64 {
        self.call_bytes - before.call_bytes
    }

    /// Bytes that the disk was given since `before`, by whomever: with the file system's journal, and in whole blocks. None
    /// if the directory is not on a disk, or it does not tell.
    pub fn disk_bytes(self, before: Self) -> Option<u64> {
        Some(self.disk_bytes?.saturating_sub(before.disk_bytes?))
    }
}

/// What the disk of a directory has taken since the system began, its file system being synced.
fn disk_bytes(directory: &Path) -> Option<u64> {
    /// Of the block layer, whatever the disk's own: Documentation/block/stat.rst of Linux.
    const SECTOR_BYTES: u64 = 512;
    let directory = File::open(directory).ok()?;
    let device = directory.metadata().ok()?.dev();
    syncfs(&directory).ok()?;
    let text = std::fs::read_to_string(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device))).ok()?;
    let sectors: u64 = text.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR_BYTES)
}

/// Memory that the process holds, in bytes; 0 where the system does not tell.
pub fn rss_bytes() -> u64 {
    number("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

fn number(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
