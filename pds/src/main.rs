//! The one binary: the host and the operator's commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pds::Failure;
use pds::config::{Config, template};

/// An AT Protocol Personal Data Server.
/// What callers allocate, the commit thread frees: an allocator that is good at this halves what memory costs a commit.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "pds", version)]
struct Cli {
    /// The configuration file; without it ./pds.toml, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve accounts, repositories and the firehose.
    Serve {
        /// For trying things out: `.test` handles, and a local did:plc directory on a second port.
        #[arg(long)]
        dev: bool,
    },
    /// Print a commented configuration file with every default.
    Config,
    #[command(flatten)]
    Operator(pds::cli::Command),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    pds::logging::start();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            pds::cli::say(&format!("pds: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let config = || Config::load(cli.config.as_deref());
    match cli.command {
        Command::Serve { dev } => pds::serve::run(config()?, dev).map(|()| ExitCode::SUCCESS),
        Command::Config => {
            pds::cli::print(template::TEXT.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Operator(command) => pds::cli::run(config()?, command).map(ExitCode::from),
    }
}
