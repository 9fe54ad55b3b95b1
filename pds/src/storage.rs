//! The one place that names an engine.

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Error, Reason, Result};

use crate::config::{BackendName, PostgresConfig, StorageConfig, TranquilConfig};

const HOUR_US: u64 = 3_600_000_000;

/// Opens the store that the configuration names.
///
/// # Errors
/// Those of the engine, and [`Reason::BadRequest`] for what the configuration lacks.
pub async fn open(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    match config.backend {
        BackendName::Postgres => Ok(backend_postgres::Postgres::open(postgres(&config.postgres)?).await?),
        BackendName::Tranquil => open_tranquil(tranquil(&config.tranquil)?).await,
    }
}

/// The same, after the embedded engine's files were healed: also those that no open would read.
///
/// # Errors
/// As [`open`].
pub async fn open_repaired(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    match config.backend {
        BackendName::Postgres => open(config).await,
        BackendName::Tranquil => {
            let mut options = tranquil(&config.tranquil)?;
            options.repair = true;
            open_tranquil(options).await
        }
    }
}

async fn open_tranquil(options: backend_tranquil::Options) -> Result<Arc<dyn Backend>> {
    // Recovery reads files.
    match tokio::task::spawn_blocking(move || backend_tranquil::Tranquil::open(options)).await {
        Ok(store) => Ok(store?),
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// Drops the store of a measurement, which has a schema of its own in the database. The embedded engine's is a directory.
///
/// # Errors
/// Those of the database.
pub async fn drop_scratch(config: &StorageConfig) -> Result<()> {
    match config.backend {
        BackendName::Postgres => backend_postgres::Postgres::drop_store(&postgres(&config.postgres)?).await,
        BackendName::Tranquil => Ok(()),
    }
}

/// The SQL engine's options.
///
/// # Errors
/// [`Reason::BadRequest`] if there is no URL.
fn postgres(config: &PostgresConfig) -> Result<backend_postgres::Options> {
    let Some(url) = &config.url else {
        let detail = "storage.postgres.url: not set; it says where the database is, as in postgres://pds@localhost/pds";
        return Err(Error::new(Reason::BadRequest, detail));
    };
    let mut options = backend_postgres::Options::new(url);
    options.pool_size = config.pool_size;
    options.schema.clone_from(&config.schema);
    options.statement_timeout = Duration::from_secs(config.statement_timeout_seconds.into());
    options.history_window_us = window_us("storage.postgres", config.history_window_hours)?;
    options.event_retention_us = u64::from(config.event_retention_hours) * HOUR_US;
    Ok(options)
}

/// What became of a write is known for as long as the past is kept: who asks again must come in time.
fn window_us(section: &str, hours: u32) -> Result<u64> {
    if hours == 0 {
        let detail = format!(
            "{section}.history_window_hours: 0 is less than 1, and a write that is sent again would be done twice"
        );
        return Err(Error::new(Reason::BadRequest, detail));
    }
    Ok(u64::from(hours) * HOUR_US)
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

/// Opens the configuration's embedded store without memory for blocks that were read, so that each is asked of the system: for
/// measurements. Blocks.
///
/// # Errors
/// Those of the engine.
pub fn open_without_hot_blocks(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    let options = backend_tranquil::Options { hot_bytes: 0, ..tranquil(&config.tranquil)? };
    Ok(backend_tranquil::Tranquil::open(options)?)
}

/// With less, the newest events' slice would not hold one of the largest frames.
const MEMORY_MIB_MIN: u32 = 96;

/// The embedded engine's options.
///
/// # Errors
/// [`Reason::BadRequest`] if loading left no directory.
pub fn tranquil(config: &TranquilConfig) -> Result<backend_tranquil::Options> {
    let Some(directory) = &config.directory else {
        return Err(Error::new(Reason::BadRequest, "storage.tranquil.directory: not set"));
    };
    let mut options = backend_tranquil::Options::new(directory);
    options.history_window_us = window_us("storage.tranquil", config.history_window_hours)?;
    options.event_retention_us = u64::from(config.event_retention_hours) * HOUR_US;
    if config.memory_mib < MEMORY_MIB_MIN {
        let detail = format!("storage.tranquil.memory_mib: {} is less than {MEMORY_MIB_MIN}", config.memory_mib);
        return Err(Error::new(Reason::BadRequest, detail));
    }
    options.set_memory(u64::from(config.memory_mib) << 20);
    Ok(options)
}
