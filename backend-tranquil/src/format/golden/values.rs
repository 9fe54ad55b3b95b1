use std::fmt::Debug;

use backend_api::{
    Account, AccountId, AccountStatus, Blob, CommitRow, Counters, Head, Link, Micros, Pos, Receipt, ReceiptRow,
    RecordRow, Repo, RepoId, Row, Seq,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::value::{BlockValue, Mark, Place, ReleaseCursor, decode, encode};
use super::{blob, block, check, did, email, handle, rev, row_key};

const AT: Micros = Micros(1_700_000_000_000_000);

/// The bytes are those of the file, and mean the same when they are read.
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let bytes = encode(value);
    check(name, &bytes);
    assert_eq!(&decode::<T>(&bytes, name).expect("what was written is read"), value);
}

#[test]
fn golden_values_of_the_engine() {
    let place = Place { file: 2, offset: 300, len: 5 };
    golden("value-block", &BlockValue { refs: 1, place, released: 200 });
    let mark = Mark { pos: 3, at: AT.0, seq: 5, cycle: 2, chain: 0x0403_0201, file: 1, offset: 600 };
    golden("value-mark", &mark);
    let cursor = ReleaseCursor { pos: 3, file: 1, offset: 600, cycle: 2, chain: 0x0403_0201, done: 4 };
    golden("value-release-cursor", &cursor);
    golden("value-events-oldest", &300_u64);
    golden("value-sweep", &AT);
}

#[test]
fn golden_values_of_accounts() {
    let account = Account {
        id: AccountId(1),
        did: did(),
        handle: Some(handle()),
        email: Some(email()),
        email_confirmed_at: None,
        password_hash: Some("hash".into()),
        status: AccountStatus::Deactivated,
        created_at: AT,
        repo: Some(RepoId(2)),
        import: None,
    };
    golden("value-account", &account);
    golden("value-account-bare", &Account { handle: None, email: None, password_hash: None, repo: None, ..account });
    golden("value-blob", &Blob { cid: blob(), mime: "image/png".into(), bytes: 300, at: AT });
}

#[test]
fn golden_statuses() {
    let codes: Vec<u8> = AccountStatus::ALL.iter().flat_map(encode).collect();
    check("value-account-statuses", &codes);
}

#[test]
fn golden_values_of_repos() {
    let counters = Counters { records: 1, refs: 3, bytes: 900 };
    let head = Head { cid: block(), rev: rev() };
    golden("value-repo", &Repo { id: RepoId(2), did: did(), head: Some(head), data: Some(block()), counters });
    golden("value-commit", &CommitRow { cid: block(), data: block(), pos: Pos(3), at: AT });
    let link = Link { field: "subject".into(), target: "did:plc:bob".into() };
    golden("value-record", &RecordRow { cid: block(), pos: Pos(3), blobs: vec![blob()], links: vec![link] });
}

#[test]
fn golden_values_of_rows() {
    let row = Row {
        key: row_key(),
        owner: Some(did()),
        unique: vec![b"one".to_vec()],
        lookup: vec![b"two".to_vec()],
        expires_at: Some(AT),
        body: b"{}".to_vec(),
    };
    golden("value-row", &row);
    let receipt = Receipt { pos: Pos(3), at: AT, first_seq: Seq::new(5).expect("in range"), events: 1, taken: vec![] };
    golden("value-receipt", &ReceiptRow { digest: 0x0102_0304_0506_0708, receipt: receipt.clone() });
    golden("value-receipt-taken", &ReceiptRow { digest: 1, receipt: Receipt { taken: vec![row], ..receipt } });
}

#[test]
fn golden_row_kinds() {
    let codes: Vec<u8> = backend_api::RowKind::ALL.iter().flat_map(|kind| [*kind as u8, encode(kind)[1]]).collect();
    check("value-row-kinds", &codes);
}
