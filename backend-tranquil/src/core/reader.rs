//! Reading without holding up the writer: the memtables are looked at under their lock, the store after it.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Account, Did, Repo, RepoId, Result};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::shared::Shared;
use crate::format::key::{self, Key};
use crate::format::value;
use crate::meta::{Layers, Memtable, MetaSnapshot, Scan, scan};

/// Entries that a scan copies out of the memtables beyond what it was asked for, for deletions among them.
const COPIED_MORE: usize = 256;

impl Shared {
    /// The stored bytes of a key that is not a block's.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let store = {
            let tables = self.tables();
            let frozen = tables.frozen.as_deref().map(|f| &f.table);
            for table in std::iter::once(&tables.active).chain(frozen) {
                if let Some(value) = table.rows.get(key) {
                    return Ok(value.clone());
                }
            }
            Arc::clone(&tables.store)
        };
        store.get(key)
    }

    /// A decoded value.
    pub fn value<T: DeserializeOwned>(&self, key: &[u8], what: &str) -> Result<Option<T>> {
        self.get(key)?.map(|bytes| value::decode(&bytes, what)).transpose()
    }

    /// A bounded piece of a range, and whether there may be more.
    pub fn scan(&self, what: &Scan) -> Result<(Vec<(Bytes, Bytes)>, bool)> {
        let mut out = Vec::new();
        let mut rest = what.clone();
        if what.is_empty() {
            return Ok((out, false));
        }
        loop {
            rest.limit = what.limit - out.len();
            let (copied, store, cut) = self.copy(&rest);
            let mut piece = rest.clone();
            if let Some(cut) = &cut {
                *(if piece.reverse { &mut piece.from } else { &mut piece.to }) = Bound::Included(cut.clone());
            }
            let (found, more) = scan(&Layers { tables: vec![&copied], store: &*store }, &piece)?;
            out.extend(found);
            match cut {
                Some(cut) if !more => rest = rest.after(Some(cut)),
                _ => return Ok((out, more)),
            }
        }
    }

    /// Copies the memtables' part of a range, up to a bound; the last key copied if there was more.
    fn copy(&self, what: &Scan) -> (Memtable, Arc<dyn MetaSnapshot>, Option<Key>) {
        let bounds = (what.from.as_ref().map(Vec::as_slice), what.to.as_ref().map(Vec::as_slice));
        let tables = self.tables();
        let frozen = tables.frozen.as_deref().map(|f| &f.table);
        let bound = what.limit + COPIED_MORE;
        let mut copied = Memtable::default();
        let mut cut: Option<Key> = None;
        // Older first, so that the newer one's entries stay.
        for table in frozen.into_iter().chain([&tables.active]) {
            let range = table.rows.range(bounds.0, bounds.1);
            let range: Box<dyn Iterator<Item = _>> = if what.reverse { Box::new(range.rev()) } else { Box::new(range) };
            for (i, (key, value)) in range.enumerate() {
                if i == bound {
                    let nearer = |c: &Key| if what.reverse { key > &c[..] } else { key < &c[..] };
                    if cut.as_ref().is_none_or(nearer) {
                        cut = Some(key.to_vec());
                    }
                    copied.row(key.to_vec(), value.clone());
                    break;
                }
                copied.row(key.to_vec(), value.clone());
            }
        }
        (copied, Arc::clone(&tables.store), cut)
    }

    /// Rows with a prefix that are in memory and not in the store yet.
    pub fn undrained(&self, prefix: &[u8]) -> Vec<(Key, Bytes)> {
        let tables = self.tables();
        let frozen = tables.frozen.as_deref().map(|f| &f.table);
        let with_prefix = |table: &Memtable| {
            let from = table.rows.range(Bound::Included(prefix), Bound::Unbounded);
            let rows = from.take_while(|(key, _)| key.starts_with(prefix));
            rows.filter_map(|(key, value)| Some((key.to_vec(), value.clone()?))).collect::<Vec<_>>()
        };
        std::iter::once(&tables.active).chain(frozen).flat_map(with_prefix).collect()
    }

    pub fn account_of(&self, did: &Did) -> Result<Option<Account>> {
        self.value(&key::account(did), "account")
    }

    pub fn repo_of(&self, id: RepoId) -> Result<Option<Repo>> {
        self.value(&key::repo(id), "repo")
    }
}
