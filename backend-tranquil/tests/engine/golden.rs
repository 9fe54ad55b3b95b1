//! The files of a whole store, byte by byte: what the pages in `docs/formats` take apart.
//!
//! One account with one post, at a time and with an identity that are always the same.

#[path = "../../src/format/golden/compare.rs"]
mod compare;

use std::io;
use std::path::Path;
use std::sync::Arc;

use backend_api::mutation::{Announce, NewAccount, RecordOp, RepoCommit};
use backend_api::tree::{self, CommitBlock, Key};
use backend_api::{
    AccountStatus, Block, Cid, Did, Head, IdempotencyKey, Maintenance as _, Micros, Mutation, Op, RecordPath, Tid,
    Writes as _,
};
use backend_tranquil::io::{Clock, Entropy, Env};
use backend_tranquil::{Options, Tranquil};

const AT_MICROS: u64 = 1_700_000_000_000_000;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Micros {
        Micros(AT_MICROS)
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

impl Entropy for Stopped {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0xa5);
        Ok(())
    }
}

/// An account and its first commit, with one record that says nothing (`{}`).
fn mutation() -> Mutation {
    let did: Did = "did:plc:alice".parse().expect("a DID");
    let path: RecordPath = "app.bsky.feed.post/3k".parse().expect("a path");
    let record = Block::new([0xa0].to_vec().into());
    let (data, nodes) = tree::build([(Key::from(&path), record.cid())]);
    let rev = Tid::new(AT_MICROS, 0);
    let commit = CommitBlock { did: did.clone(), version: 3, data, rev, prev: None, sig: vec![0x55; 64] }.encode();
    let commit = Block::new(commit.into());
    let node = Block::claimed(data, nodes.get(&data).expect("the root").clone());
    let account = NewAccount {
        handle: Some("alice.test".parse().expect("a handle")),
        email: None,
        password_hash: None,
        status: AccountStatus::Active,
    };
    let op = RecordOp { path, old: None, new: Some(record.cid()), blobs: Vec::new(), links: Vec::new() };
    let announced: Vec<Cid> = vec![node.cid(), record.cid()];
    let commit_op = RepoCommit {
        expected: None,
        head: Head { cid: commit.cid(), rev },
        data,
        added: vec![commit.cid(), data],
        removed: Vec::new(),
        records: vec![op],
        announce: Some(announced),
    };
    Mutation {
        did,
        key: IdempotencyKey([0x11; 16]),
        ops: vec![Op::CreateAccount(account), Op::Commit(Box::new(commit_op))],
        blocks: vec![commit, node, record],
    }
}

fn file(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn open(options: Options) -> Arc<Tranquil> {
    let env = Env { clock: Arc::new(Stopped), entropy: Arc::new(Stopped), ..Env::real() };
    Tranquil::open_in(env, options).expect("the store opens")
}

/// Applies a mutation, drains it, and closes the store: all that is written aside is written then.
async fn apply(store: Arc<Tranquil>, mutation: Mutation) {
    store.apply(mutation).await.expect("the mutation is taken");
    store.checkpoint().await.expect("it is drained");
    store.close().await.expect("the store closes");
}

#[tokio::test]
async fn golden_files_of_a_store() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path().join("store");
    let options = Options { snapshot_log_bytes_min: 0, log_file_bytes: 1 << 16, ..Options::new(&directory) };
    apply(open(options), mutation()).await;
    compare::check("file-store", &file(&directory, "STORE"));
    compare::check("file-log", &file(&directory, "log/0000000001.log"));
    compare::check("file-events", &file(&directory, "events/0000000000000001.segment"));
    compare::check("file-snapshot", &file(&directory, "snapshots/0000000000000001.snapshot"));
    compare::check("file-parity", &file(&directory, "log/0000000001.parity"));

    // A second mutation finds the files full, and so they are sealed; a third one, that one of them is not the newest.
    let sealing = || Options {
        log_file_bytes: 64,
        segment_bytes: 64,
        snapshot_log_bytes_min: 1 << 40,
        ..Options::new(&directory)
    };
    let again = |key: u8| Mutation {
        key: IdempotencyKey([key; 16]),
        ops: vec![Op::Emit(Announce::Account)],
        blocks: Vec::new(),
        ..mutation()
    };
    apply(open(sealing()), again(0x22)).await;
    compare::check("file-event-index", &file(&directory, "events/0000000000000001.index"));
    compare::check("file-log-second", &file(&directory, "log/0000000002.log"));
    apply(open(sealing()), again(0x33)).await;
    compare::check("file-hint", &file(&directory, "log/0000000001.hint"));
}
