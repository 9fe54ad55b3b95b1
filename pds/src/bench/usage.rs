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

/// Bytes that the process has caused to be written to disks so far; 0 where the system does not tell.
pub fn written_bytes() -> u64 {
    number("/proc/self/io", "write_bytes:").unwrap_or(0)
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
