//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging: notices and up on a terminal, warnings and up in a pipe, or as `RUST_LOG` says.
pub fn start() {
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal { "warn,pds=info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A second start, as in tests, keeps the first.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).try_init();
}
