//! The event log: the firehose's frames as they go over the wire, in segments.
//!
//! `events/0000000000000001.segment` is named by its first sequence number. Appended after the commit log's sync, synced
//! at checkpoints, and re-created from the commit log after a crash.

mod entry;
mod files;
mod index;
mod log;
mod open;
mod pinned;
mod ring;
mod segment;

pub use log::{EventLog, EventOptions, paths};
pub use pinned::Pinned;
pub use segment::sound_bytes;
