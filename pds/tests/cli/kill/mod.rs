//! A process that writes with 32 writers is killed at random moments, again and again: everything acknowledged is there,
//! every repo verifies, each commit has exactly one event, no number is skipped, changed or used again.
//!
//! `KILL_ROUNDS` says how often; 200 under CI.

mod support;

use std::path::Path;
use std::sync::Arc;

use backend_api::Backend;
use pds::config::StorageConfig;
use pds::storage::open_strained;
use support::{Oracle, Random, Told, Writer};

/// Rounds where nobody asks for more.
const ROUNDS: usize = 40;
const ROUNDS_CI: usize = 200;

/// Stores side by side, among which the rounds are shared out: what a round checks grows with its store.
const STORES: u64 = 4;

/// A round reads every byte of the store so often.
const DEEP_EVERY: usize = 25;

fn rounds() -> usize {
    match std::env::var("KILL_ROUNDS") {
        Ok(text) => text.parse().expect("KILL_ROUNDS is a number"),
        Err(_) if std::env::var("CI").is_ok() => ROUNDS_CI,
        Err(_) => ROUNDS,
    }
}

fn open(directory: &Path) -> Arc<dyn Backend> {
    let mut storage = StorageConfig::default();
    storage.tranquil.directory = Some(directory.to_owned());
    open_strained(&storage).expect("a killed store opens")
}

/// An oracle that finds nothing would be no test.
#[tokio::test]
async fn the_oracle_finds_what_is_lost_and_what_is_changed() {
    let backend = crate::support::model();
    let draft = conformance::scene::SceneRepo::new(conformance::scene::did("alice")).draft(&[]);
    let head = draft.commit.head;
    let did = draft.after.did.clone();
    let mut mutation = draft.mutation(backend_api::IdempotencyKey([1; 16]));
    mutation.ops.insert(0, conformance::create_account("alice"));
    backend.apply(mutation).await.unwrap();
    let told = |cid, seq| Told { acked: vec![(did.clone(), head.rev, cid, seq)], seen: vec![] };
    let seen = |seq, hash: &str| Told { acked: vec![], seen: vec![(seq, hash.to_owned())] };
    let other = backend_api::Cid::of_block(b"other");
    let mut random = Random::new(1);
    for (told, fault) in [
        (told(head.cid, 2), "events up to 2 were seen"),
        (told(other, 1), "was acknowledged; there is Some"),
        (seen(2, "00"), "events up to 2 were seen"),
        (seen(1, "00"), "was 00 when a subscriber saw it"),
    ] {
        let mut oracle = Oracle::default();
        oracle.told(&told);
        let found = oracle.check(&*backend, &mut random, true).await.unwrap_err();
        assert!(found.contains(fault), "{found}");
    }
    let mut oracle = Oracle::default();
    oracle.told(&told(head.cid, 1));
    oracle.check(&*backend, &mut random, true).await.unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_whenever_it_is_killed() {
    let seed = std::env::var("KILL_SEED").map_or(1, |text| text.parse().expect("KILL_SEED is a number"));
    let rounds = rounds();
    std::thread::scope(|scope| {
        for store in 0..STORES {
            scope.spawn(move || killed(seed + store, rounds.div_ceil(STORES as usize)));
        }
    });
}

/// One store, killed so often.
fn killed(seed: u64, rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut random = Random::new(seed);
    let mut oracle = Oracle::default();
    for round in 1..=rounds {
        let writer = Writer::start(&store, seed << 16 | round as u64);
        // Now and then while it still opens the store; else while it writes.
        if random.below(8) > 0 {
            writer.wait_for_first_line();
        }
        let told = writer.kill_after_ms(random.below(131) + if random.below(8) == 0 { 0 } else { 20 });
        let deep = round % DEEP_EVERY == 0 || round == rounds;
        oracle.told(&told);
        runtime.block_on(async {
            let backend = open(&store);
            oracle
                .check(&*backend, &mut random, deep)
                .await
                .unwrap_or_else(|fault| panic!("KILL_SEED={seed}, round {round}: {fault}"));
            backend.close().await.unwrap();
        });
    }
    eprintln!("{rounds} kills, {}", oracle.summary());
    assert!(oracle.commits() > rounds as u64, "the writers wrote: {}", oracle.summary());
}
