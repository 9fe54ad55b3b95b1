//! Memtables over the key-value store, read as one state.

use backend_api::{
    Account, AccountId, Blob, BlockRefs, Cid, Did, Email, Error, Handle, IdempotencyKey, Reason, ReceiptRow,
    RecordPath, RecordRow, Repo, RepoId, Result, Row, RowKey, RowKind, View,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::MetaSnapshot;
use super::memtable::{BlockChange, Memtable};
use super::scan::scan;
use crate::format::key::{self, Key};
use crate::format::value::{self, BlockValue};

/// One state: the newest table first, the store last.
pub struct Layers<'a> {
    /// Memtables, newest first.
    pub tables: Vec<&'a Memtable>,
    /// What lies below them.
    pub store: &'a dyn MetaSnapshot,
}

impl Layers<'_> {
    /// The stored bytes of a key that is not a block's.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.newest(key) {
            Some(value) => Ok(value.clone()),
            None => self.store.get_and_keep(key),
        }
    }

    fn newest<'a>(&'a self, key: &'a [u8]) -> Option<&'a Option<Bytes>> {
        self.tables.iter().find_map(|table| table.rows.get(key))
    }

    /// A decoded value.
    pub fn value<T: DeserializeOwned>(&self, key: &[u8], what: &str) -> Result<Option<T>> {
        match self.newest(key) {
            Some(value) => value.as_deref().map(|bytes| value::decode(bytes, what)).transpose(),
            None => self.store.get_and_keep(key)?.map(|bytes| value::decode(&bytes, what)).transpose(),
        }
    }

    /// What is stored of a block.
    pub fn block_value(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockValue>> {
        let (change, complete) = self.block_change(repo, cid);
        let below = if complete { None } else { self.store_block(repo, cid)? };
        match change {
            Some(change) => change.over(below).map_err(|why| broken(repo, cid, why)),
            None => Ok(below),
        }
    }

    fn store_block(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockValue>> {
        self.store.get_and_keep(&key::block(repo, cid))?.map(|bytes| value::decode(&bytes, "block")).transpose()
    }

    /// All that the tables know of a block, and whether that is all there is to know.
    fn block_change(&self, repo: RepoId, cid: &Cid) -> (Option<BlockChange>, bool) {
        let mut sum: Option<BlockChange> = None;
        for table in &self.tables {
            if let Some(older) = table.blocks.get(&(repo, *cid)) {
                let merged = sum.map_or(*older, |newer| older.then(newer));
                sum = Some(merged);
                if merged.reset {
                    return (sum, true);
                }
            }
        }
        (sum, false)
    }
}

/// A count that cannot be: the state is not what the log says. Nothing is carried on from here.
pub(super) fn broken(repo: RepoId, cid: &Cid, why: &str) -> Error {
    Error::new(Reason::DataCorrupt, format!("metadata: block {cid} of repo generation {repo}: {why}"))
}

fn key_of(bytes: Option<Bytes>, what: &str) -> Result<Option<Did>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::new(Reason::DataCorrupt, format!("metadata: the DID behind a {what} is no text")))?;
    text.parse().map(Some)
}

impl View for Layers<'_> {
    fn account(&self, did: &Did) -> Result<Option<Account>> {
        self.value(&key::account(did), "account")
    }

    fn handle(&self, handle: &Handle) -> Result<Option<Did>> {
        key_of(self.get(&key::handle(handle))?, "handle")
    }

    fn email(&self, email: &Email) -> Result<Option<Did>> {
        key_of(self.get(&key::email(email))?, "address")
    }

    fn repo(&self, id: RepoId) -> Result<Option<Repo>> {
        self.value(&key::repo(id), "repo")
    }

    fn record(&self, repo: RepoId, path: &RecordPath) -> Result<Option<RecordRow>> {
        self.value(&key::record(repo, path), "record")
    }

    fn block(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockRefs>> {
        Ok(self.block_value(repo, cid)?.map(|b| BlockRefs { refs: b.refs, len: b.place.len }))
    }

    /// Counts are never negative below, so what the tables add up to is a lower bound: enough for most commits without
    /// asking the store.
    fn holds(&self, repo: RepoId, cid: &Cid, refs: u64) -> Result<Option<u32>> {
        if let (Some(BlockChange { delta, place: Some(place), .. }), _) = self.block_change(repo, cid)
            && u64::try_from(delta).is_ok_and(|held| held >= refs)
        {
            return Ok(Some(place.len));
        }
        Ok(self.block(repo, cid)?.filter(|b| b.refs >= refs).map(|b| b.len))
    }

    fn blob(&self, account: AccountId, cid: &Cid) -> Result<Option<Blob>> {
        self.value(&key::blob(account, cid), "blob")
    }

    fn blob_uses(&self, repo: RepoId, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
        self.keys(key::blob_uses(repo, cid), limit)?.iter().map(|k| Ok(key::read_blob_use(k)?.1)).collect()
    }

    fn row(&self, row: &RowKey) -> Result<Option<Row>> {
        self.value(&key::row(row), "row")
    }

    fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.get(&key::row_unique(kind, index, value))?.map(|b| b.to_vec()))
    }

    fn rows_owned(&self, did: &Did, limit: usize) -> Result<Vec<RowKey>> {
        let prefix = key::rows_owned(did);
        let at = prefix.len();
        self.keys(prefix, limit)?.iter().map(|k| key::read_row(k, at)).collect()
    }

    fn receipt(&self, did: &Did, key: &IdempotencyKey) -> Result<Option<ReceiptRow>> {
        self.value(&key::receipt(did, key), "receipt")
    }
}

impl Layers<'_> {
    fn keys(&self, prefix: Key, limit: usize) -> Result<Vec<Bytes>> {
        let (pairs, _) = scan(self, &super::Scan::prefix(prefix, limit))?;
        Ok(pairs.into_iter().map(|(key, _)| key).collect())
    }
}
