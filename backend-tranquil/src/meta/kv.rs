//! The contract of the key-value store under the memtable. The simulator has its own.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Error, Result};
use bytes::Bytes;

/// Pairs in order of key.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send + 'a>;

/// An ordered map on disk that changes in one way only: by taking in a whole sorted run.
///
/// What a crash may take: a run whose [`MetaKv::ingest`] has not returned, all of it or none. A run whose `ingest` has
/// returned stays.
pub trait MetaKv: Send + Sync {
    /// Takes in a run: pairs with strictly ascending keys, `None` deletes. Atomic, and durable when this returns.
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()>;
    /// The state now. Later runs do not show in it.
    fn snapshot(&self) -> Arc<dyn MetaSnapshot>;
    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;
    /// True if the store should be opened again: an error left something of it undone, or its work in the background
    /// dead, or it was opened `sparing` and need not be any more, or was not and should be.
    fn is_worn(&self, _sparing: bool) -> bool {
        false
    }
    /// Opens the files again; `sparing`: without work in the background that takes space. False, and nothing is done, as
    /// long as somebody has a snapshot.
    ///
    /// After an error nothing can be read until it is called again and succeeds.
    fn reopen(&self, _sparing: bool) -> Result<bool> {
        Ok(true)
    }
    /// Lets the files go. Everything after it, snapshots included, fails with `Closed`.
    fn close(&self);
}

/// Stands where a state was: reading it is an error.
pub struct NoSnapshot(pub Error);

impl MetaSnapshot for NoSnapshot {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>> {
        Err(self.0.clone())
    }

    fn range(&self, _: Bound<&[u8]>, _: Bound<&[u8]>, _: bool) -> Pairs<'_> {
        Box::new(std::iter::once(Err(self.0.clone())))
    }
}

/// One state of the map.
pub trait MetaSnapshot: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;
    /// The value of a key, which is likely to be asked for again.
    fn get_and_keep(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.get(key)
    }
    /// The value of a key, if it is in memory.
    fn kept(&self, _key: &[u8]) -> Option<Bytes> {
        None
    }
    /// Pairs between two keys, in either direction.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Pairs<'_>;
}
