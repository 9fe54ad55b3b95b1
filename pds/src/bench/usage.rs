//! What this process has used.

use std::time::Duration;

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

/// What the process has written so far; 0 where the system does not tell.
#[derive(Clone, Copy)]
pub struct Written {
    disk_bytes: u64,
    call_bytes: u64,
}

impl Written {
    pub fn now() -> Self {
        let counter = |name| number("/proc/self/io", name).unwrap_or(0);
        Self { disk_bytes: counter("write_bytes:"), call_bytes: counter("wchar:") }
    }

    /// Bytes that went to disks since `before`. The kernel counts none for a file system that lies in memory: there, the
    /// bytes that were given to its write calls.
    pub fn since(self, before: Self) -> u64 {
        match self.disk_bytes - before.disk_bytes {
            0 => self.call_bytes - before.call_bytes,
            disk_bytes => disk_bytes,
        }
    }
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
