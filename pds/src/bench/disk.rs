//! What the disk itself does, without any engine.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use backend_api::Result;
use serde::Serialize;

use super::failed;

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(1);
const BLOCK_BYTES: usize = 4096;
const PIECE_BYTES: usize = 1 << 20;
/// Size of the file that is written over and over.
const OVERWRITTEN_BYTES: u64 = 64 << 20;
/// Size of the file that is written from end to end.
const SEQUENTIAL_BYTES_MAX: u64 = 1 << 30;

/// The disk's own figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Disk {
    /// Appends of 4 KiB, each with an `fdatasync`.
    pub append_4k_sync_per_s: f64,
    /// Writes of 4 KiB over what is there, each with an `fdatasync`.
    pub overwrite_4k_sync_per_s: f64,
    /// Writing a file from end to end, and one `fdatasync`.
    pub sequential_write_mb_per_s: f64,
}

impl Disk {
    /// Measures the disk that `directory` is on. Blocks for some seconds.
    ///
    /// # Errors
    /// What writing says.
    pub fn measure(directory: &Path) -> Result<Self> {
        let path = directory.join("disk-figures");
        let measured = measure(&path).map_err(|e| failed(path.display(), &e));
        let removed = std::fs::remove_file(&path).map_err(|e| failed(path.display(), &e));
        let disk = measured?;
        removed.map(|()| disk)
    }

    /// In words.
    pub fn words(&self) -> String {
        format!(
            "disk: {:.0} appends of 4 KiB with a sync a second, {:.0} overwrites, {:.0} MB/s from end to end",
            self.append_4k_sync_per_s, self.overwrite_4k_sync_per_s, self.sequential_write_mb_per_s
        )
    }
}

fn measure(path: &Path) -> io::Result<Disk> {
    let create = || OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let append = synced_writes(&create()?, |n| n * BLOCK_BYTES as u64)?;
    let file = create()?;
    fill(&file, OVERWRITTEN_BYTES, Duration::MAX)?;
    let overwrite = synced_writes(&file, |n| n * BLOCK_BYTES as u64 % OVERWRITTEN_BYTES)?;
    let file = create()?;
    let start = Instant::now();
    let bytes = fill(&file, SEQUENTIAL_BYTES_MAX, EACH)?;
    let sequential = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    Ok(Disk {
        append_4k_sync_per_s: append.round(),
        overwrite_4k_sync_per_s: overwrite.round(),
        sequential_write_mb_per_s: sequential.round(),
    })
}

fn synced_writes(file: &File, place: impl Fn(u64) -> u64) -> io::Result<f64> {
    let block = [0xa5; BLOCK_BYTES];
    let (start, mut writes) = (Instant::now(), 0);
    while start.elapsed() < EACH {
        file.write_all_at(&block, place(writes))?;
        file.sync_data()?;
        writes += 1;
    }
    Ok(writes as f64 / start.elapsed().as_secs_f64())
}

fn fill(file: &File, bytes_max: u64, time_max: Duration) -> io::Result<u64> {
    let piece = vec![0x5a; PIECE_BYTES];
    let (start, mut written) = (Instant::now(), 0);
    while written < bytes_max && start.elapsed() < time_max {
        file.write_all_at(&piece, written)?;
        written += PIECE_BYTES as u64;
    }
    file.sync_data()?;
    Ok(written)
}
