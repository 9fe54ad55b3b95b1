//! What is in frames, and keys and values of the metadata.

use std::fmt::Debug;

use backend_api::{
    Account, Blob, CommitRow, Micros, Op, ReceiptRow, RecordRow, Repo, RepoId, Result, Row, RowKey, Sweep,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format::intent::{Intent, Maintenance};
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue, Mark, Place, ReleaseCursor};

/// What is read is written and read as the same, and takes no more bytes than it was read from; what is not says what it
/// was to be.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(read: Result<T>, bytes: &[u8], what: &str) -> Option<T> {
    match read {
        Ok(value) => {
            let again = value::encode(&value);
            assert!(again.len() <= bytes.len(), "{value:?}: {} bytes of {}", again.len(), bytes.len());
            assert_eq!(value::decode::<T>(&again, what).as_ref(), Ok(&value));
            Some(value)
        }
        Err(e) => {
            assert!(e.detail().contains(what), "{e}");
            None
        }
    }
}

/// A mutation in the log.
pub fn intent(bytes: &[u8]) {
    if let Some(intent) = same(Intent::decode(bytes), bytes, "log frame") {
        let ops = intent.ops.clone();
        assert_eq!(intent.into_change(Vec::new()).mutation.ops, ops);
    }
}

/// A maintenance step in the log.
pub fn maintenance(bytes: &[u8]) {
    if let Some(step) = same(Maintenance::decode(bytes), bytes, "log frame") {
        let mut again = Vec::new();
        step.append(&mut again);
        assert_eq!(Maintenance::decode(&again), Ok(step));
    }
}

/// Values of the metadata.
pub fn value(bytes: &[u8]) {
    fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8], what: &str) {
        same(value::decode::<T>(bytes, what), bytes, what);
    }
    read::<Account>(bytes, "account");
    read::<Repo>(bytes, "repo");
    read::<BlockValue>(bytes, "block");
    read::<RecordRow>(bytes, "record");
    read::<CommitRow>(bytes, "commit");
    read::<Blob>(bytes, "blob");
    read::<Row>(bytes, "row");
    read::<ReceiptRow>(bytes, "receipt");
    read::<Mark>(bytes, "mark");
    read::<ReleaseCursor>(bytes, "release cursor");
    read::<Place>(bytes, "place");
    read::<Micros>(bytes, "sweep");
    read::<u64>(bytes, "oldest event");
    read::<Vec<Op>>(bytes, "operations");
}

/// A key that is read is written as the same bytes: no two keys mean the same.
pub fn key(bytes: &[u8]) {
    let in_space = |space: Space| {
        let mut key = bytes.to_vec();
        key.splice(..key.len().min(1), [space as u8]);
        key
    };
    fn again<T>(key: &[u8], read: Result<T>, write: impl FnOnce(T) -> Vec<u8>) {
        match read {
            Ok(meaning) => assert_eq!(write(meaning), key, "a key is written as it was read"),
            Err(e) => assert!(!e.detail().is_empty()),
        }
    }
    let block = in_space(Space::Block);
    again(&block, key::read_block(&block), |(repo, cid)| key::block(repo, &cid));
    let record = in_space(Space::Record);
    again(&record, key::read_record(&record), |(repo, path)| key::record(repo, &path));
    let commit = in_space(Space::Commit);
    again(&commit, key::read_commit(&commit), |(repo, rev)| key::commit(repo, rev));
    let row = in_space(Space::Row);
    again(&row, key::read_row(&row, 1), |row: RowKey| key::row(&row));
    let receipt = in_space(Space::Receipt);
    again(&receipt, key::read_receipt(&receipt), |(did, idempotency)| key::receipt(&did, &idempotency));
    let sweep = in_space(Space::Sweep);
    again(&sweep, key::read_sweep(&sweep), |sweep: Sweep| key::sweep(sweep));
    let uses = in_space(Space::BlobUse);
    let repo = |key: &[u8]| RepoId(u64::from_be_bytes(key[1..9].try_into().expect("it was read")));
    again(&uses, key::read_blob_use(&uses), |(cid, path)| key::blob_use(repo(&uses), &cid, &path));
    let expiry = in_space(Space::RowExpiry);
    let at_and_row = key::read_expiry(&expiry).and_then(|at| Ok((at, key::read_row(&expiry, 9)?)));
    again(&expiry, at_and_row, |(at, row)| key::row_expiry(at, &row));
    if let Ok(account) = key::read_blob_account(&in_space(Space::Blob)) {
        assert!(in_space(Space::Blob).starts_with(&key::numbered(Space::Blob, account.0)));
    }
    match key::after_prefix(bytes) {
        Some(after) => assert!(after.as_slice() > bytes && !after.starts_with(bytes)),
        None => assert!(bytes.iter().all(|b| *b == 0xff)),
    }
}
