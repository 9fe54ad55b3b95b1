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

/// Opens the configuration's embedded store with files and memory so small that all that it does in the background happens
/// all the time: for tests that kill it. Blocks.
///
/// # Errors
/// Those of the engine.
pub fn open_strained(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    let mut options = tranquil(&config.tranquil)?;
    options.log_file_bytes = 1 << 20;
    options.segment_bytes = 256 << 10;
    options.memtable_bytes_max = 512 << 10;
    options.snapshot_log_bytes_min = 1 << 20;
    options.hot_bytes = 1 << 20;
    options.ring_bytes = 64 << 10;
    Ok(backend_tranquil::Tranquil::open(options)?)
}

/// With less, the newest events' slice would not hold one of the largest frames.
const MEMORY_MIB_MIN: u32 = 96;

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
    if config.memory_mib < MEMORY_MIB_MIN {
        let detail = format!("storage.tranquil.memory_mib: {} is less than {MEMORY_MIB_MIN}", config.memory_mib);
        return Err(Error::new(Reason::BadRequest, detail));
    }
    options.set_memory(u64::from(config.memory_mib) << 20);
    Ok(options)
}
