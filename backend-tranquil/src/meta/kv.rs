//! The contract of the key-value store under the memtable. The simulator has its own.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::Result;
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
    /// Lets the files go. Everything after it, snapshots included, fails with `Closed`.
    fn close(&self);
}

/// One state of the map.
pub trait MetaSnapshot: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;
    /// Pairs between two keys, in either direction.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Pairs<'_>;
}
