//! The embedded engine: a PDS's storage in one directory and one process.
//!
//! A write is read left to right through the folders, and no arrow turns back: `io -> format -> log | meta | events ->
//! core -> runtime -> backend`. `core` is the engine without threads.
//!
//! - The commit log is the truth; one write and one sync per cycle make every mutation in it durable.
//! - Metadata is a memtable over Fjall, derived from the log.
//! - The event log holds the firehose's final frames, re-created from the log after a crash.

mod backend;
mod core;
mod events;
mod export;
mod feed;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
#[path = "../fuzz/decoders/mod.rs"]
pub mod fuzzing;
pub mod io;
mod log;
mod meta;
mod options;
mod parity;
mod repair;
mod runtime;
mod stats;
mod tend;
mod verify;

pub use backend::Tranquil;
#[doc(hidden)]
pub use backend::stepped;
pub use options::{MEMORY_BYTES_DEFAULT, Options};
