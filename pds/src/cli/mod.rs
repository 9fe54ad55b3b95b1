//! The operator's commands.
//!
//! Each works beside a running server, through the control socket in the data directory, and on a closed store, which it
//! opens for itself. The work is the same code in both cases: see [`work`].

mod exit;
mod message;
mod operator;
mod output;
mod run;
mod screen;
mod session;
pub mod work;

use std::path::PathBuf;

use backend_api::{Did, Tid};
use clap::{Args, Subcommand};

pub use exit::Exit;
pub use operator::listen;
pub use output::{print, say};
pub use run::run;
pub use session::{Session, opened};

use crate::bench::{BenchCommand, DevWriter};

/// What an operator can ask for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take in repositories from CAR files, each whole or not at all.
    Import(Import),
    /// Give out a repository as a CAR file.
    Export(Export),
    /// Check the store against itself.
    Verify(Verify),
    /// Print figures of the store.
    Stats(Plain),
    /// Bring everything derived up to date, so that the next open has nothing to replay.
    Checkpoint(Plain),
    /// Forget what is due: history older than its window, deleted accounts, expired rows, old events.
    Sweep(Plain),
    /// Measure the engine, and the disk under it.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Write to a store until killed, telling what was acknowledged: the child of the kill test.
    #[command(hide = true)]
    DevWriter(DevWriter),
}

/// `pds import`
#[derive(Debug, Args)]
pub struct Import {
    /// CAR files: exports of whole repositories.
    #[arg(required = true, value_name = "FILE.car")]
    pub files: Vec<PathBuf>,
    /// Print what came of it as JSON, a line for each file.
    #[arg(long)]
    pub json: bool,
}

/// `pds export`
#[derive(Debug, Args)]
pub struct Export {
    /// Whose repository.
    pub did: Did,
    /// Only what is new after this rev.
    #[arg(long, value_name = "REV")]
    pub since: Option<Tid>,
    /// Where it goes; without it, to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print what came of it as JSON, to standard error.
    #[arg(long)]
    pub json: bool,
}

/// `pds verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Read and hash every byte, and count every reference again.
    #[arg(long)]
    pub deep: bool,
    /// Heal what is damaged, as far as there is a second witness of it; then check as with `--deep`.
    #[arg(long)]
    pub repair: bool,
    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A command without options of its own.
#[derive(Debug, Args)]
pub struct Plain {
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}
