//! Reads of a few keys on one state of the metadata, without a file touched under the lock or on the caller's thread.
//!
//! A read is run on the memtables, under their lock. What it asks of the store below and is not known yet is noted. If
//! nothing was, the answer is one of memory alone. Else what was noted is fetched, without the lock and on a thread that
//! may wait, and the read is run again: its last run has everything, and sees one state. Cycles that are committed
//! meanwhile do not matter; after a drain the fetching begins again, for what was fetched is of the store before it.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use backend_api::{Account, Blocks, Cid, Did, Error, Reason, RepoId, Result, View as _};
use bytes::Bytes;

use super::shared::Shared;
use crate::format::key::Key;
use crate::format::value::Place;
use crate::meta::{BlockChange, Layers, MetaSnapshot, Pairs};

/// What a read needs of the store, and what of it is there already.
#[derive(Default)]
pub struct Fetched {
    store: Option<Arc<dyn MetaSnapshot>>,
    pairs: Vec<(Key, Option<Bytes>)>,
    missed: Vec<Key>,
}

impl Fetched {
    fn fetch(&mut self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        for key in self.missed.drain(..) {
            let value = store.get_and_keep(&key)?;
            self.pairs.push((key, value));
        }
        Ok(())
    }
}

/// The store as far as it is in memory.
struct Known<'a> {
    store: &'a dyn MetaSnapshot,
    pairs: &'a [(Key, Option<Bytes>)],
    missed: Mutex<Vec<Key>>,
}

impl MetaSnapshot for Known<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        // A handful: a map would cost more than it saves.
        if let Some((_, value)) = self.pairs.iter().find(|(known, _)| known == key) {
            return Ok(value.clone());
        }
        if let Some(value) = self.store.kept(key) {
            return Ok(Some(value));
        }
        self.missed.lock().expect("no panic under this lock").push(key.to_vec());
        Ok(None)
    }

    fn range(&self, _: Bound<&[u8]>, _: Bound<&[u8]>, _: bool) -> Pairs<'_> {
        let detail = "metadata: a read of a few keys asked for a range";
        Box::new(std::iter::once(Err(Error::new(Reason::BadRequest, detail))))
    }
}

impl Shared {
    /// Runs a read on memory and what was fetched. `Err`: more has to be fetched, by [`Shared::point`] on a thread that
    /// may wait.
    pub fn attempt<T>(
        &self,
        read: &impl Fn(&Layers<'_>) -> Result<T>,
        mut fetched: Fetched,
    ) -> Result<Result<T>, Fetched> {
        let tables = self.tables();
        if fetched.store.as_ref().is_some_and(|store| !Arc::ptr_eq(store, &tables.store)) {
            fetched = Fetched::default();
        }
        let known = Known { store: &*tables.store, pairs: &fetched.pairs, missed: Mutex::default() };
        let frozen = tables.frozen.as_deref().map(|f| &f.table);
        let layers = Layers { tables: std::iter::once(&tables.active).chain(frozen).collect(), store: &known };
        let answer = read(&layers);
        let missed = known.missed.into_inner().expect("no panic under this lock");
        if missed.is_empty() {
            return Ok(answer);
        }
        // Whatever it came to was without these.
        fetched.store.get_or_insert_with(|| Arc::clone(&tables.store));
        fetched.missed = missed;
        Err(fetched)
    }

    /// Runs a read to its end. May wait for files.
    pub fn point<T>(&self, read: &impl Fn(&Layers<'_>) -> Result<T>, mut fetched: Fetched) -> Result<T> {
        loop {
            fetched.fetch()?;
            match self.attempt(read, fetched) {
                Ok(answer) => return answer,
                Err(more) => fetched = more,
            }
        }
    }

    /// The generation that an account serves, or imports into.
    pub fn generation(&self, did: &Did, which: Blocks) -> Result<Option<RepoId>> {
        self.point(&|layers: &Layers<'_>| generation_in(layers, did, which), Fetched::default())
    }
}

/// The generation that an account serves, or imports into, in one state.
pub fn generation_in(layers: &Layers<'_>, did: &Did, which: Blocks) -> Result<Option<RepoId>> {
    let account: Option<Account> = layers.account(did)?;
    Ok(account.and_then(|account| match which {
        Blocks::Live | Blocks::History => account.repo,
        Blocks::Import => account.import,
    }))
}

/// Where the bytes of a block are, if a read of that sort may see it, in one state.
pub fn place_in(layers: &Layers<'_>, repo: RepoId, cid: &Cid, which: Blocks) -> Result<Option<(Cid, Place)>> {
    // Counts are never negative below: a block to which the memtables add a reference is there whatever the store has of
    // it, and its bytes are the same at any place.
    let changes = layers.tables.iter().rev().filter_map(|table| table.blocks.get(&(repo, *cid)));
    let sum = changes.fold(BlockChange::default(), |sum, newer| sum.then(*newer));
    if let Some(place) = sum.place.filter(|_| sum.delta > 0) {
        return Ok(Some((*cid, place)));
    }
    let block = layers.block_value(repo, cid)?.filter(|block| which != Blocks::Live || block.refs > 0);
    Ok(block.map(|block| (*cid, block.place)))
}
