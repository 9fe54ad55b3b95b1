//! The one place that names an engine.

use std::sync::Arc;

use backend_api::{Backend, Error, Reason, Result};

use crate::config::{BackendName, StorageConfig};

/// Opens the store that the configuration names. Blocks.
///
/// # Errors
/// Those of the engine, and [`Reason::BadRequest`] for one that is not there.
pub fn open(config: &StorageConfig) -> Result<Arc<dyn Backend>> {
    match config.backend {
        BackendName::Tranquil => {
            let detail = "storage.backend: the engine \"tranquil\" is not built yet";
            Err(Error::new(Reason::BadRequest, detail))
        }
        BackendName::Postgres => {
            let detail = "storage.backend: the engine \"postgres\" is not built yet; use \"tranquil\"";
            Err(Error::new(Reason::BadRequest, detail))
        }
    }
}
