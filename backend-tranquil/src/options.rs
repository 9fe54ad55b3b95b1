//! What can be set.

use std::path::PathBuf;

/// Settings of a store. None of them is stored: each open may have others.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's directory. Created, readable by its owner only, if it is not there.
    pub directory: PathBuf,
    /// How long what was replaced stays readable, and receipts are kept, in microseconds. Default 72 h.
    pub history_window_us: u64,
    /// How long events are kept, in microseconds. Default 72 h.
    pub event_retention_us: u64,
    /// A log file is sealed when it has so many bytes. Default 256 MiB.
    pub log_file_bytes: u64,
    /// An event segment is sealed when it has so many bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// A memtable is drained when it takes so much memory. Two of them may exist. Default 64 MiB.
    pub memtable_bytes_max: usize,
    /// Memory for the key-value store's blocks. Default 256 MiB.
    pub cache_bytes: u64,
    /// Memory for blocks that were read. Default 64 MiB.
    pub hot_bytes: u64,
    /// Memory for the newest events. Default 32 MiB.
    pub ring_bytes: usize,
    /// Mutations of one cycle at the most. Default 1,024.
    pub cycle_mutations_max: usize,
    /// Bytes of mutations in one cycle at the most, unless one alone is larger. Default 8 MiB.
    pub cycle_bytes_max: usize,
    /// Bytes of mutations that wait at the most; beyond it callers are answered `StorageFull`-like busy errors, kind
    /// [`Busy`](backend_api::Kind::Busy). Default 256 MiB.
    pub queue_bytes_max: usize,
    /// A copy of the metadata is written when the log grew by this many bytes since the last, and by eight times the size
    /// of that copy. Default 256 MiB.
    pub snapshot_log_bytes_min: u64,
    /// Threads that serve long reads. Default 4.
    pub reader_threads: usize,
    /// Sealed event segments are read through memory maps. Default off: see docs/decisions.
    pub map_sealed_segments: bool,
}

const HOUR_US: u64 = 3_600_000_000;
const MIB: u64 = 1 << 20;

impl Options {
    /// The defaults, for a directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            history_window_us: 72 * HOUR_US,
            event_retention_us: 72 * HOUR_US,
            log_file_bytes: 256 * MIB,
            segment_bytes: 64 * MIB,
            memtable_bytes_max: 64 << 20,
            cache_bytes: 256 * MIB,
            hot_bytes: 64 * MIB,
            ring_bytes: 32 << 20,
            cycle_mutations_max: 1_024,
            cycle_bytes_max: 8 << 20,
            queue_bytes_max: 256 << 20,
            snapshot_log_bytes_min: 256 * MIB,
            reader_threads: 4,
            map_sealed_segments: false,
        }
    }
}
