//! A plan's effects as changes of the memtable.

use backend_api::{Cid, Effect, Effects, RepoId};
use bytes::Bytes;

use super::memtable::{BlockChange, Memtable};
use crate::format::key::{self, Key};
use crate::format::value::{self, Place};

/// Puts a plan's effects into a table, and gives a checksum over what it put. `place` tells where the block with an index
/// in the mutation's blocks was written.
pub fn encode_effects(effects: &Effects, table: &mut Memtable, place: &dyn Fn(usize) -> Place) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    let pos = effects.receipt.pos.0;
    for effect in &effects.changes {
        if let Effect::Block { repo, cid, delta, supplied, released } = effect {
            let place = supplied.map(place);
            block(table, &mut sum, (*repo, *cid), *delta, place, if *released { pos } else { 0 });
        } else {
            let (key, value) = row(effect);
            sum.update(&key);
            sum.update(value.as_deref().unwrap_or(&[0xff]));
            table.row(key, value.map(Bytes::from));
        }
    }
    sum.finalize()
}

fn block(
    table: &mut Memtable,
    sum: &mut crc32fast::Hasher,
    id: (RepoId, Cid),
    delta: i64,
    place: Option<Place>,
    released: u64,
) {
    sum.update(&key::block(id.0, &id.1));
    sum.update(&delta.to_le_bytes());
    sum.update(&place.map_or(0, |p| p.offset).to_le_bytes());
    sum.update(&released.to_le_bytes());
    table.block(id, BlockChange { reset: false, delta, place, released });
}

fn row(effect: &Effect) -> (Key, Option<Vec<u8>>) {
    let flag = |there: &bool| there.then(Vec::new);
    match effect {
        Effect::Block { .. } => unreachable!("blocks are counted, not put"),
        Effect::Account(did, account) => (key::account(did), account.as_ref().map(value::encode)),
        Effect::Handle(handle, did) => (key::handle(handle), did.as_ref().map(|d| d.as_str().as_bytes().to_vec())),
        Effect::Email(email, did) => (key::email(email), did.as_ref().map(|d| d.as_str().as_bytes().to_vec())),
        Effect::Repo(id, repo) => (key::repo(*id), repo.as_ref().map(value::encode)),
        Effect::Record(repo, path, row) => (key::record(*repo, path), row.as_ref().map(value::encode)),
        Effect::Commit(repo, rev, row) => (key::commit(*repo, *rev), Some(value::encode(row))),
        Effect::Blob(account, cid, blob) => (key::blob(*account, cid), blob.as_ref().map(value::encode)),
        Effect::BlobUse(repo, cid, path, there) => (key::blob_use(*repo, cid, path), flag(there)),
        Effect::Link(repo, link, path, there) => (key::link(*repo, link, path), flag(there)),
        Effect::Row(row, body) => (key::row(row), body.as_ref().map(value::encode)),
        Effect::RowUnique { kind, index, value, key: row } => (key::row_unique(*kind, *index, value), row.clone()),
        Effect::RowLookup { index, value, key: row, there } => (key::row_lookup(*index, value, row), flag(there)),
        Effect::RowOwner(did, row, there) => (key::row_owner(did, row), flag(there)),
        Effect::RowExpiry(at, row, there) => (key::row_expiry(*at, row), flag(there)),
        Effect::Receipt(did, idempotency, row) => (key::receipt(did, idempotency), Some(value::encode(row))),
        Effect::Sweep(sweep, since) => (key::sweep(*sweep), Some(value::encode(since))),
    }
}
