//! A directory that is there as long as a measurement.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Backend, Result};

use super::{Common, blocking, failed};
use crate::cli::opened;
use crate::config::{BackendName, Config, StorageConfig};

/// A temporary directory with a store in it; removed when dropped.
pub struct Scratch {
    path: PathBuf,
    config: Config,
}

impl Scratch {
    /// Creates one for the configuration's engine.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub fn create(common: &Common, config: &Config, name: &str) -> Result<Self> {
        let beside = || config.data_directory.parent().unwrap_or(Path::new(".")).to_owned();
        let below = common.directory.clone().unwrap_or_else(beside);
        let below = if below.as_os_str().is_empty() { PathBuf::from(".") } else { below };
        let path = below.join(format!("pds-bench-{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| failed(path.display(), &e))?;
        let mut config = config.clone();
        config.data_directory.clone_from(&path);
        config.storage.tranquil.directory = Some(path.join("store"));
        config.storage.postgres.schema = format!("pds_bench_{}_{name}", std::process::id());
        Ok(Self { path, config })
    }

    /// The same, with another engine than the configuration's.
    pub fn with_engine(mut self, engine: BackendName) -> Self {
        self.config.storage.backend = engine;
        self
    }

    /// Removes what is not below the directory.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end(self) -> Result<()> {
        crate::storage::drop_scratch(&self.config.storage).await
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its store is.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Opens its store.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn open(&self) -> Result<Arc<dyn Backend>> {
        opened(self.config.clone()).await
    }

    /// Opens its store, if it is one of the embedded engine, with no blocks in memory.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn open_without_hot_blocks(&self) -> Result<Option<Arc<dyn Backend>>> {
        if self.config.storage.backend != BackendName::Tranquil {
            return Ok(None);
        }
        let storage = self.config.storage.clone();
        blocking(move || crate::storage::open_without_hot_blocks(&storage)).await.map(Some)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a directory of a measurement is left behind");
        }
    }
}

/// A configuration whose embedded store is in `directory`.
pub fn store_config(directory: &Path) -> Config {
    let mut storage = StorageConfig::default();
    storage.tranquil.directory = Some(directory.to_owned());
    Config { storage, ..Config::default() }
}
