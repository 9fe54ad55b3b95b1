//! A frozen memtable as one sorted run for the key-value store.

use std::ops::Bound;

use backend_api::{Cid, RepoId, Result};
use bytes::Bytes;

use super::MetaSnapshot;
use super::layers::broken;
use super::memtable::Memtable;
use crate::format::key::{self, Key, Space};
use crate::format::value::{self, BlockValue, Mark};

/// Lengths and sequence number of a pair.
const PAIR_BYTES: usize = 16;
/// Key and value of a block.
const BLOCK_BYTES: usize = 80;
const FIRST_BLOCK: &[u8] = &[Space::Block as u8];

/// A pair of a run; `None` deletes.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The run that brings the store from `below` to the state after the table, with its mark.
///
/// Counts are differences here and whole numbers there: this is where they meet, in order of key, so that the look-ups
/// walk the store once from left to right.
///
/// # Errors
/// [`Reason::DataCorrupt`](backend_api::Reason) for a count that cannot be; errors of the store.
pub fn run_of<'a>(
    table: &'a Memtable,
    below: &dyn MetaSnapshot,
    mark: &Mark,
) -> Result<impl Iterator<Item = Change> + use<'a>> {
    let mut blocks: Vec<_> = table.blocks.iter().map(|(id, change)| (head(id), id, change)).collect();
    blocks.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    let mut merged: Vec<(Key, Option<Vec<u8>>)> = Vec::with_capacity(blocks.len());
    for (_, (repo, cid), change) in blocks {
        let key = key::block(*repo, cid);
        let stored: Option<BlockValue> = match below.get(&key)? {
            Some(bytes) => Some(value::decode(&bytes, "block")?),
            None => None,
        };
        let after = change.over(stored).map_err(|why| broken(*repo, cid, why))?;
        if after != stored {
            merged.push((key, after.as_ref().map(value::encode)));
        }
    }
    let pair = |(key, value): (&[u8], &Option<Bytes>)| (key.to_vec(), value.as_ref().map(|v| v.to_vec()));
    let before = table.rows.range(Bound::Unbounded, Bound::Excluded(FIRST_BLOCK)).map(pair);
    let after = table.rows.range(Bound::Included(FIRST_BLOCK), Bound::Unbounded).map(pair);
    let mark = (key::MARK.to_vec(), Some(value::encode(mark)));
    Ok(std::iter::once(mark).chain(before).chain(merged).chain(after))
}

/// The first bytes of a block's key: they decide nearly every comparison, without a look at what lies elsewhere.
fn head((repo, cid): &(RepoId, Cid)) -> (u64, u64) {
    let mut first = [cid.codec() as u8; 8];
    first[1..].copy_from_slice(&cid.digest()[..7]);
    (repo.0, u64::from_be_bytes(first))
}

/// What the pairs of a table take in a run, roughly and rather too much.
pub fn run_bytes(table: &Memtable) -> u64 {
    let all = table.rows.range(Bound::Unbounded, Bound::Unbounded);
    let rows = all.map(|(key, value)| PAIR_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len));
    let blocks = table.blocks.len() * (PAIR_BYTES + BLOCK_BYTES);
    (rows.sum::<usize>() + blocks) as u64
}
