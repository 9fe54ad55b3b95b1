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
pub mod stepped;
mod writes;

use std::path::Path;
use std::sync::{Arc, Mutex};

use backend_api::limits::PAGE_ITEMS_MAX;
use backend_api::{Blocks, Cid, Did, Error, Reason, RepoId, Result};
use bytes::Bytes;

use crate::core::{Fetched, Shared, open};
use crate::format::value::Place;
use crate::io::{DirectoryLock, Env, failed};
use crate::meta::{FjallKv, Layers, MetaKv};
use crate::options::Options;
use crate::runtime::{Pool, Runtime};
use crate::tend::Tender;

/// More blocks than these are not read by the caller's thread, wherever they are.
const AT_ONCE_BLOCKS_MAX: usize = 8;

/// An open store.
///
/// Everything acknowledged is durable. Dropping it, or [`close`](backend_api::Maintenance::close), drains it and lets the
/// directory go; killing the process instead costs the next open a replay and nothing else.
pub struct Tranquil {
    shared: Arc<Shared>,
    runtime: Arc<Runtime>,
    pool: Arc<Pool>,
    tender: Arc<Tender>,
    /// Held by who checks or heals the store.
    checks: Arc<tokio::sync::Mutex<()>>,
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
        let (checks, lock) = (Arc::default(), Arc::new(Mutex::new(Some(lock))));
        Ok(Arc::new(Self { shared, runtime, pool, tender, checks, lock }))
    }

    /// Runs a long read on a thread of the engine's own.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        self.pool.run(move || read(&shared)).await
    }

    /// A read of a few keys, on one state: answered at once if memory has all of it, else by a thread of the engine's own.
    async fn point<T: Send + 'static>(&self, read: impl Fn(&Layers<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        match self.shared.attempt(&read, Fetched::default()) {
            Ok(answer) => answer,
            Err(missed) => self.read(move |shared| shared.point(&read, missed)).await,
        }
    }

    /// The bytes of a few blocks whose places are those of one state.
    async fn point_blocks(
        &self,
        read: impl Fn(&Layers<'_>) -> Result<Vec<Option<(Cid, Place)>>> + Send + 'static,
    ) -> Result<Vec<Option<(Cid, Bytes)>>> {
        let places = match self.shared.attempt(&read, Fetched::default()) {
            Ok(places) => places?,
            Err(missed) => return self.read(move |shared| bytes_at(shared, &shared.point(&read, missed)?)).await,
        };
        let is_many = places.len() > AT_ONCE_BLOCKS_MAX;
        let at_once = |place: &Option<(Cid, Place)>| match place {
            Some((cid, _)) if is_many => self.shared.hot_block(cid).map(|bytes| Some((*cid, bytes))),
            Some((cid, place)) => self.shared.block_at_once(*place, cid).map(|bytes| Some((*cid, bytes))),
            None => Some(None),
        };
        match places.iter().map(at_once).collect() {
            Some(blocks) => Ok(blocks),
            None => self.read(move |shared| bytes_at(shared, &places)).await,
        }
    }

    /// A long read of the generation that an account serves, or imports into: done again if that is another one when it
    /// ends, for then it may have read what was being swept. `none` is the answer if there is none.
    async fn read_repo<T: Send + 'static>(
        &self,
        did: &Did,
        which: Blocks,
        none: impl Fn() -> T + Send + 'static,
        read: impl Fn(&Shared, RepoId) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let did = did.clone();
        self.read(move |shared| {
            loop {
                let Some(repo) = shared.generation(&did, which)? else { return Ok(none()) };
                let found = read(shared, repo);
                if shared.generation(&did, which)? == Some(repo) {
                    return found;
                }
            }
        })
        .await
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

/// Blocks with their bytes, some of them perhaps from files.
fn bytes_at(shared: &Shared, places: &[Option<(Cid, Place)>]) -> Result<Vec<Option<(Cid, Bytes)>>> {
    let read = |(cid, place)| Ok((cid, shared.block(place, &cid)?));
    places.iter().map(|place| place.map(read).transpose()).collect()
}

/// The bound of a page.
fn page(limit: usize) -> Result<usize> {
    match limit {
        0 => Err(Error::new(Reason::BadRequest, "limit: 0 items were asked for")),
        n => Ok(n.min(PAGE_ITEMS_MAX)),
    }
}
