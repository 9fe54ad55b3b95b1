//! A plan's effects as changes of the memtable.

use backend_api::{Cid, Did, Effect, Effects, RepoId};
use bytes::Bytes;
use serde::Serialize;

use super::memtable::{BlockChange, Memtable};
use crate::format::key::{self, Key};
use crate::format::value::{self, Place};

/// Puts a plan's effects into a table, and gives a checksum over what it put. `place` tells where the block with an index
/// in the mutation's blocks was written.
pub fn encode_effects(effects: &Effects, table: &mut Memtable, place: &dyn Fn(usize) -> Place) -> u32 {
    // All that is put, one after the other: one long checksum costs less than many short ones.
    let (mut put, mut value) = (Vec::with_capacity(2 << 10), Vec::with_capacity(256));
    let pos = effects.receipt.pos.0;
    for effect in &effects.changes {
        if let Effect::Block { repo, cid, delta, supplied, released } = effect {
            let place = supplied.map(place);
            block(table, &mut put, (*repo, *cid), *delta, place, if *released { pos } else { 0 });
        } else {
            value.clear();
            let (key, there) = row(effect, &mut value);
            put.extend_from_slice(&key);
            put.extend_from_slice(if there { &value } else { &[0xff] });
            table.row(key, there.then(|| Bytes::copy_from_slice(&value)));
        }
    }
    crc32fast::hash(&put)
}

fn block(table: &mut Memtable, put: &mut Vec<u8>, id: (RepoId, Cid), delta: i64, place: Option<Place>, released: u64) {
    key::append_block(put, id.0, &id.1);
    put.extend_from_slice(&delta.to_le_bytes());
    put.extend_from_slice(&place.map_or(0, |p| p.offset).to_le_bytes());
    put.extend_from_slice(&released.to_le_bytes());
    table.block(id, BlockChange { reset: false, delta, place, released });
}

/// The key of an effect and whether it is there; appends its value.
fn row(effect: &Effect, out: &mut Vec<u8>) -> (Key, bool) {
    match effect {
        Effect::Block { .. } => unreachable!("blocks are counted, not put"),
        Effect::Account(did, account) => (key::account(did), put(account.as_ref(), out)),
        Effect::Handle(handle, did) => (key::handle(handle), text(did.as_ref(), out)),
        Effect::Email(email, did) => (key::email(email), text(did.as_ref(), out)),
        Effect::Repo(id, repo) => (key::repo(*id), put(repo.as_ref(), out)),
        Effect::Record(repo, path, row) => (key::record(*repo, path), put(row.as_ref(), out)),
        Effect::Commit(repo, rev, row) => (key::commit(*repo, *rev), put(Some(row), out)),
        Effect::Blob(account, cid, blob) => (key::blob(*account, cid), put(blob.as_ref(), out)),
        Effect::BlobUse(repo, cid, path, there) => (key::blob_use(*repo, cid, path), *there),
        Effect::Link(repo, link, path, there) => (key::link(*repo, link, path), *there),
        Effect::Row(row, body) => (key::row(row), put(body.as_ref(), out)),
        Effect::RowUnique { kind, index, value, key: row } => {
            out.extend_from_slice(row.as_deref().unwrap_or_default());
            (key::row_unique(*kind, *index, value), row.is_some())
        }
        Effect::RowLookup { index, value, key: row, there } => (key::row_lookup(*index, value, row), *there),
        Effect::RowOwner(did, row, there) => (key::row_owner(did, row), *there),
        Effect::RowExpiry(at, row, there) => (key::row_expiry(*at, row), *there),
        Effect::Receipt(did, idempotency, row) => (key::receipt(did, idempotency), put(Some(row), out)),
        Effect::Sweep(sweep, since) => (key::sweep(*sweep), put(Some(since), out)),
    }
}

fn put<T: Serialize>(value: Option<&T>, out: &mut Vec<u8>) -> bool {
    if let Some(value) = value {
        value::append(out, value);
    }
    value.is_some()
}

fn text(did: Option<&Did>, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(did.map(Did::as_str).unwrap_or_default().as_bytes());
    did.is_some()
}
