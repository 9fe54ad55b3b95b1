//! The engine behind the contract: one file for each facet of the trait.

mod accounts;
mod blobs;
mod blocks;
mod changes;
mod firehose;
mod maintenance;
mod records;
mod repos;
mod rows;
mod snapshots;
mod stepped;
mod writes;

use std::path::Path;
use std::sync::{Arc, Mutex};

use backend_api::limits::PAGE_ITEMS_MAX;
use backend_api::{Error, Reason, Result};

use crate::core::{Shared, open};
use crate::io::{DirectoryLock, Env, failed};
use crate::meta::{FjallKv, MetaKv};
use crate::options::Options;
use crate::runtime::{Pool, Runtime};
use crate::tend::Tender;

/// An open store.
///
/// Everything acknowledged is durable. Dropping it, or [`close`](backend_api::Maintenance::close), drains it and lets the
/// directory go; killing the process instead costs the next open a replay and nothing else.
pub struct Tranquil {
    shared: Arc<Shared>,
    runtime: Arc<Runtime>,
    pool: Arc<Pool>,
    tender: Arc<Tender>,
    lock: Arc<Mutex<Option<DirectoryLock>>>,
}

impl Tranquil {
    /// Opens the store in `options.directory`, or creates it. Blocks until recovery is done.
    ///
    /// # Errors
    /// [`Reason::Locked`] if another process has it; [`Reason::WrongStore`] for files of another store, kind or version, or
    /// missing ones; [`Reason::DataCorrupt`] for damage of acknowledged data, by file and offset. In each case nothing was
    /// changed or thrown away.
    pub fn open(options: Options) -> Result<Arc<Self>> {
        Self::open_in(Env::real(), options)
    }

    /// The same, with a disk, clock and entropy of the caller's. The key-value store has its own files.
    ///
    /// # Errors
    /// As [`Tranquil::open`].
    pub fn open_in(env: Env, options: Options) -> Result<Arc<Self>> {
        let directory = options.directory.clone();
        env.disk.create_directory(&directory).map_err(|e| failed("create", &directory, &e))?;
        let lock = DirectoryLock::take(&directory)?;
        let cache_bytes = options.cache_bytes;
        let reader_threads = options.reader_threads;
        let disk = Arc::clone(&env.disk);
        let open_kv =
            move |path: &Path| -> Result<Arc<dyn MetaKv>> { Ok(Arc::new(FjallKv::open(&disk, path, cache_bytes)?)) };
        let opened = open(env, options, &open_kv)?;
        let shared = Arc::clone(&opened.shared);
        let runtime = Arc::new(Runtime::start(opened)?);
        let pool = Arc::new(Pool::start(reader_threads)?);
        let tender = Arc::new(Tender::default());
        Ok(Arc::new(Self { shared, runtime, pool, tender, lock: Arc::new(Mutex::new(Some(lock))) }))
    }

    /// Runs a long read on a thread of the engine's own.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        self.pool.run(move || read(&shared)).await
    }

    /// What ends the store; blocks until its threads have ended.
    fn ending(&self) -> impl FnOnce() + Send + 'static {
        let (runtime, pool, lock) = (Arc::clone(&self.runtime), Arc::clone(&self.pool), Arc::clone(&self.lock));
        let shared = Arc::clone(&self.shared);
        move || {
            runtime.close();
            pool.close();
            shared.kv.close();
            drop(lock.lock().expect("no panic under this lock").take());
        }
    }
}

impl Drop for Tranquil {
    fn drop(&mut self) {
        self.ending()();
    }
}

/// The bound of a page.
fn page(limit: usize) -> Result<usize> {
    match limit {
        0 => Err(Error::new(Reason::BadRequest, "limit: 0 items were asked for")),
        n => Ok(n.min(PAGE_ITEMS_MAX)),
    }
}
