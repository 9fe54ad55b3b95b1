//! Golden bytes of everything that is stored: a change of any of them is a change of the format.

mod compare;
mod frames;
mod keys;
mod operations;
mod values;

use backend_api::{Cid, Did, Email, Handle, IdempotencyKey, RecordPath, RowKey, RowKind, Tid};

use compare::check;

const STORE: super::StoreId = super::StoreId([0xa5; 16]);
const KEY: IdempotencyKey = IdempotencyKey([0x11; 16]);

fn did() -> Did {
    "did:plc:alice".parse().expect("a DID")
}

fn handle() -> Handle {
    "alice.test".parse().expect("a handle")
}

fn email() -> Email {
    "a@b.test".parse().expect("an address")
}

fn path() -> RecordPath {
    "app.bsky.feed.post/3k".parse().expect("a path")
}

fn rev() -> Tid {
    Tid::new(1_700_000_000_000_000, 1)
}

fn block() -> Cid {
    Cid::of_block(b"block")
}

fn blob() -> Cid {
    Cid::of(backend_api::Codec::Raw, b"blob")
}

fn row_key() -> RowKey {
    RowKey { kind: RowKind::Session, key: b"token".to_vec() }
}
