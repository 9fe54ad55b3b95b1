//! `pds bench`: what the engine does on this machine, with the disk's own figures from the same run beside it.
//!
//! The load is made before the clock starts, in batches of bounded memory, so that what is measured is the engine.
#![allow(clippy::disallowed_methods, reason = "this is the room where time is measured")]

mod commits;
mod crowd;
mod dev_writer;
mod disk;
mod events;
mod latency;
mod load;
mod open;
mod reads;
mod scratch;
mod standard;
mod trees;
mod usage;

use std::path::PathBuf;

use backend_api::{Error, Reason, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

pub use commits::Commits;
pub use dev_writer::DevWriter;
pub use events::Events;
pub use open::Open;
pub use reads::Reads;

use crate::cli;
use crate::config::Config;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// The standard commit: throughput, latency, syncs, bytes written, CPU and memory.
    Commits(Commits),
    /// The firehose: append, live delivery, catch-up.
    Events(Events),
    /// Reading blocks: hot, page-cached, cold.
    Reads(Reads),
    /// Opening a store: after a close, after a kill, and with its metadata to be built again.
    Open(Open),
}

impl BenchCommand {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    pub async fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::Commits(bench) => bench.run(config).await,
            Self::Events(bench) => bench.run(config).await,
            Self::Reads(bench) => bench.run(config).await,
            Self::Open(bench) => bench.run(config).await,
        }
    }
}

/// Options of every measurement.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the temporary store goes; without it, beside the data directory, so that it is on the same disk.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Common {
    /// Prints a report, as JSON or in words.
    fn print<T: Serialize>(&self, report: &T, words: impl FnOnce(&T) -> String) -> Result<()> {
        if !self.json {
            return cli::print(&words(report));
        }
        let text = serde_json::to_string_pretty(report)
            .map_err(|e| Error::new(Reason::BadRequest, format!("the report cannot be written down: {e}")))?;
        cli::print(&text)
    }
}

/// An I/O error of a measurement.
fn failed(what: impl std::fmt::Display, error: &std::io::Error) -> Error {
    Error::new(Reason::ReadFailed, format!("{what}: {error}"))
}

/// Runs something that blocks, off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}
