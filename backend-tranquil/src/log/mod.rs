//! The commit log: the truth of the store.
//!
//! Append-only data files `log/0000000001.log`, ... of block and intent frames, closed cycle by cycle. A cycle never
//! spans files. The newest file is preallocated with zeros behind its last cycle; an older one ends with its last cycle
//! and never changes again.

mod files;
mod frames;
mod hint;
mod scan;
mod tail;
mod writer;

pub use files::{FIRST, LogFiles, is_gone};
pub use frames::{each_frame, frame_piece};
pub use hint::{open as open_hint, remove_before as remove_hints, write as write_hint};
pub use scan::{CycleScan, Item, Scanned, ScannedCycle, Start};
pub use tail::{Tail, classify};
pub use writer::{Cycle, Failed, LogWriter, Position, Sealed, Sizes, Written};
