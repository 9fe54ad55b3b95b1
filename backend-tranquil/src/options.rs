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
    /// A memtable is drained when it takes so much memory. Two of them may exist. Two sixteenths of the memory each.
    pub memtable_bytes_max: usize,
    /// Memory for the key-value store's blocks. Five sixteenths.
    pub cache_bytes: u64,
    /// Memory for blocks that were read. Two sixteenths.
    pub hot_bytes: u64,
    /// Memory for the newest events. One sixteenth.
    pub ring_bytes: usize,
    /// Mutations of one cycle at the most. Default 1,024.
    pub cycle_mutations_max: usize,
    /// Bytes of mutations in one cycle at the most, unless one alone is larger. Default 8 MiB.
    pub cycle_bytes_max: usize,
    /// Bytes of mutations that wait at the most; beyond it callers are answered with kind
    /// [`Busy`](backend_api::Kind::Busy). Four sixteenths.
    pub queue_bytes_max: usize,
    /// A copy of the metadata is written when the log grew by this many bytes since the last, and by eight times the size
    /// of that copy. Default 256 MiB.
    pub snapshot_log_bytes_min: u64,
    /// Threads that serve long reads. Default 4.
    pub reader_threads: usize,
    /// Sealed event segments are read through memory maps. Default off: see docs/decisions.
    pub map_sealed_segments: bool,
    /// All files are compared with their sidecars, and healed, before the store is opened; what the disk cannot read counts
    /// as damaged then. Default off: an open heals only what keeps it from its end, and never what a read fails for.
    pub repair: bool,
}

const HOUR_US: u64 = 3_600_000_000;
const MIB: u64 = 1 << 20;

/// Memory by default: 512 MiB.
pub const MEMORY_BYTES_DEFAULT: u64 = 512 * MIB;

impl Options {
    /// The defaults, for a directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let mut options = Self {
            directory: directory.into(),
            history_window_us: 72 * HOUR_US,
            event_retention_us: 72 * HOUR_US,
            log_file_bytes: 256 * MIB,
            segment_bytes: 64 * MIB,
            memtable_bytes_max: 0,
            cache_bytes: 0,
            hot_bytes: 0,
            ring_bytes: 0,
            cycle_mutations_max: 1_024,
            cycle_bytes_max: 8 << 20,
            queue_bytes_max: 0,
            snapshot_log_bytes_min: 256 * MIB,
            reader_threads: 4,
            map_sealed_segments: false,
            repair: false,
        };
        options.set_memory(MEMORY_BYTES_DEFAULT);
        options
    }

    /// Divides a total over all that the store keeps in memory in proportion to nothing but this, in sixteenths: five for
    /// the key-value store's cache, two for each of two memtables, two for blocks that were read, one for the newest events,
    /// four for mutations that wait. Each may be set by itself afterwards. Descriptors, the reads that are under way and the
    /// filters and indexes of the key-value store come on top: these grow with the store or its use.
    pub fn set_memory(&mut self, total_bytes: u64) {
        let sixteenth = total_bytes / 16;
        let sized = |sixteenths: u64| usize::try_from(sixteenth * sixteenths).unwrap_or(usize::MAX);
        (self.cache_bytes, self.hot_bytes) = (sixteenth * 5, sixteenth * 2);
        (self.memtable_bytes_max, self.ring_bytes, self.queue_bytes_max) = (sized(2), sized(1), sized(4));
    }

    /// The slices by name, each with its bound.
    #[must_use]
    pub const fn memory(&self) -> [(&'static str, u64); 5] {
        [
            ("cache_bytes_max", self.cache_bytes),
            ("memtable_bytes_max", self.memtable_bytes_max as u64 * 2),
            ("hot_bytes_max", self.hot_bytes),
            ("ring_bytes_max", self.ring_bytes as u64),
            ("queue_bytes_max", self.queue_bytes_max as u64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slices_add_up_to_the_total() {
        let mut options = Options::new("store");
        let sum = |options: &Options| options.memory().iter().map(|(_, bytes)| bytes).sum::<u64>();
        assert_eq!(sum(&options), MEMORY_BYTES_DEFAULT);
        options.set_memory(100 * MIB);
        assert_eq!(sum(&options), 100 * MIB);
        assert_eq!((options.memtable_bytes_max as u64, options.ring_bytes as u64), (25 * MIB / 2, 25 * MIB / 4));
        options.hot_bytes = 0;
        assert_eq!(sum(&options), 175 * MIB / 2);
    }
}
