//! The one place that names an engine.

use std::sync::Arc;

use backend_api::{Backend, Error, Reason, Result};

use crate::config::{BackendName, StorageConfig, TranquilConfig};

/// Opens the store that the configuration names. Blocks.
///
/// # Errors
/// Those of the engine, and [`Reason::BadRequest`] for one that is not there.
pub fn open(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    match config.backend {
        BackendName::Tranquil => Ok(backend_tranquil::Tranquil::open(tranquil(&config.tranquil)?)?),
        BackendName::Postgres => {
            let detail = "storage.backend: the engine \"postgres\" is not built yet; use \"tranquil\"";
            Err(Error::new(Reason::BadRequest, detail))
        }
    }
}

/// The embedded engine's options.
///
/// # Errors
/// [`Reason::BadRequest`] if loading left no directory.
pub fn tranquil(config: &TranquilConfig) -> Result<backend_tranquil::Options> {
    const HOUR_US: u64 = 3_600_000_000;
    let Some(directory) = &config.directory else {
        return Err(Error::new(Reason::BadRequest, "storage.tranquil.directory: not set"));
    };
    let mut options = backend_tranquil::Options::new(directory);
    options.history_window_us = u64::from(config.history_window_hours) * HOUR_US;
    options.event_retention_us = u64::from(config.event_retention_hours) * HOUR_US;
    Ok(options)
}
