use backend_api::mutation::{AccountPatch, Announce, FinishImport, ImportTree, NewAccount, RecordOp, RepoCommit};
use backend_api::{AccountStatus, Expect, Head, Link, Op, RepoId, Row, RowKind};

use super::super::value::encode;
use super::{blob, block, check, did, email, handle, path, rev, row_key};

const IMPORT: RepoId = RepoId(2);

fn head() -> Head {
    Head { cid: block(), rev: rev() }
}

fn record() -> RecordOp {
    let links = vec![Link { field: "subject".into(), target: "did:plc:bob".into() }];
    RecordOp { path: path(), old: None, new: Some(block()), blobs: vec![blob()], links }
}

/// One of each, in the order of the enum: the first byte of each, after the version, is its number in the log.
fn operations() -> Vec<(&'static str, Op)> {
    let account = NewAccount {
        handle: Some(handle()),
        email: Some(email()),
        password_hash: Some("hash".into()),
        status: AccountStatus::Active,
    };
    let patch = AccountPatch { handle: Some(None), email: Some(Some(email())), ..AccountPatch::default() };
    let commit = RepoCommit {
        expected: Some(head()),
        head: head(),
        data: block(),
        added: vec![block()],
        removed: vec![],
        records: vec![record()],
        announce: Some(vec![block()]),
    };
    let tree = ImportTree { import: IMPORT, nodes: vec![block()], records: vec![record()] };
    let finish = FinishImport { import: IMPORT, expected: None, head: head(), data: block(), records: 1 };
    let row = Row { owner: Some(did()), ..Row::new(RowKind::Session, *b"token", *b"{}") };
    vec![
        ("create-account", Op::CreateAccount(account)),
        ("update-account", Op::UpdateAccount(patch)),
        ("set-status", Op::SetStatus(AccountStatus::Takendown)),
        ("delete-account", Op::DeleteAccount),
        ("commit", Op::Commit(Box::new(commit))),
        ("begin-import", Op::BeginImport),
        ("import-blocks", Op::ImportBlocks { import: IMPORT }),
        ("import-tree", Op::ImportTree(tree)),
        ("finish-import", Op::FinishImport(Box::new(finish))),
        ("abandon-import", Op::AbandonImport { import: IMPORT }),
        ("put-blob", Op::PutBlob { cid: blob(), mime: "image/png".into(), bytes: 300 }),
        ("delete-blob", Op::DeleteBlob(blob())),
        ("put-row", Op::PutRow { row, expect: Expect::Absent }),
        ("delete-row", Op::DeleteRow { key: row_key(), expect: Expect::Body(b"{}".to_vec()) }),
        ("take-row", Op::TakeRow(row_key())),
        ("emit-identity", Op::Emit(Announce::Identity { handle: Some(handle()) })),
        ("emit-account", Op::Emit(Announce::Account)),
        ("emit-sync", Op::Emit(Announce::Sync)),
        ("purge", Op::Purge),
    ]
}

#[test]
fn golden_operations() {
    for (name, op) in operations() {
        let bytes = encode(&op);
        check(&format!("op-{name}"), &bytes);
        assert_eq!(super::super::value::decode::<Op>(&bytes, name).expect("what was written is read"), op);
    }
}
