//! One state of Fjall's tree, of which single keys are read past its lock.
//!
//! Fjall's own `get` asks the tree for its version each time. Whoever registers tables, at every drain and every merge, holds
//! the lock of that while the manifest is synced, so each read would wait for the disk then, and with it every commit. A
//! version that is held needs no lock: its tables stay, whatever is registered meanwhile.

use std::sync::RwLock;

use backend_api::{Error, Reason, Result};
use bytes::Bytes;
use fjall::{AbstractTree as _, Database, Keyspace, Snapshot};
use lsm_tree::table::filter::standard_bloom::Builder;

type Lookup = Box<dyn Fn(&[u8]) -> lsm_tree::Result<Option<lsm_tree::Slice>> + Send + Sync>;

/// Reads keys of one state, until it is closed.
pub struct State(RwLock<Option<Lookup>>);

impl State {
    /// The state now, with a snapshot of the same.
    pub fn now(database: &Database, keyspace: &Keyspace) -> (Self, Snapshot) {
        loop {
            let version = keyspace.tree.current_version();
            let snapshot = database.snapshot();
            // What a version has was visible when it could be had: the two are one state, if there is no later one.
            if keyspace.tree.current_version().id() != version.id() {
                continue;
            }
            // Nothing is ever in Fjall's memtables: tables are all there is.
            let lookup = move |key: &[u8]| {
                let hash = Builder::get_hash(key);
                let runs = version.iter_levels().flat_map(|level| level.iter());
                for table in runs.filter_map(|run| run.get_for_key(key)) {
                    if let Some(found) = table.get(key, lsm_tree::SeqNo::MAX, hash)? {
                        return Ok((!found.is_tombstone()).then_some(found.value));
                    }
                }
                Ok(None)
            };
            return (Self(RwLock::new(Some(Box::new(lookup)))), snapshot);
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let lookup = self.0.read().expect("no panic under this lock");
        let lookup = lookup.as_ref().ok_or_else(|| Error::new(Reason::Closed, "the store was closed"))?;
        let value = lookup(key).map_err(|e| super::fjall::failed("get", &e.into()))?;
        Ok(value.map(Into::into))
    }

    /// Lets the tables go.
    pub fn close(&self) {
        drop(self.0.write().expect("no panic under this lock").take());
    }
}
