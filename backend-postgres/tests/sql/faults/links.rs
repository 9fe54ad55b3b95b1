//! Links that are slow, and how often something is said over them.

use super::*;
use backend_api::{Blobs as _, Expect, Op, Row, RowKind};
use conformance::scene::Write;

/// The server takes the time in which it reads a large message for idleness, and does not count it for the statement.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_mutation_may_take_its_time_on_a_slow_link() {
    let change = |options: &mut Options| {
        options.retry_for = Duration::ZERO;
        options.statement_timeout = Duration::from_millis(1_400);
    };
    let Some(Scene { proxy, store, _server, .. }) = Scene::begin("slow", change).await else { return };
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000));
    let row = |n: u8| Row::new(RowKind::Custom, [n], body.clone().into_bytes());
    let ops = (0..3).map(|n| Op::PutRow { row: row(n), expect: Expect::Any }).collect();
    // Longer than a process may stand still with the lock, and than a group's statements may take.
    proxy.pause_after(1_000_000, Duration::from_secs(6));
    let mutation = Mutation { did: scene::did("alice"), key: key(2), ops, blocks: Vec::new() };
    store.apply(mutation).await.unwrap();
    assert!(proxy.has_paused());
}

/// What is taken goes up again, as a part of the receipt.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_may_take_its_time_on_a_slow_link() {
    const ROWS: u8 = 4;
    let change = |options: &mut Options| options.retry_for = Duration::ZERO;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("taking", change).await else { return };
    let other = open(url, |_| {}).await;
    for n in 0..ROWS {
        let row = Row::new(RowKind::Custom, [n], vec![b'x'; 900_000]);
        let ops = vec![Op::PutRow { row, expect: Expect::Any }];
        let mutation = Mutation { did: scene::did("alice"), key: key(2 + n), ops, blocks: Vec::new() };
        other.apply(mutation).await.unwrap();
    }
    // Longer than a process may stand still with the lock.
    proxy.pause_after(1_000_000, Duration::from_secs(6));
    let take = |n| Op::TakeRow(backend_api::RowKey { kind: RowKind::Custom, key: vec![n] });
    let ops = (0..ROWS).map(take).collect();
    let mutation = Mutation { did: scene::did("alice"), key: key(20), ops, blocks: Vec::new() };
    assert_eq!(store.apply(mutation).await.unwrap().taken.len(), usize::from(ROWS));
    assert!(proxy.has_paused());
}

/// All rows of an account are looked at under the lock, which a slow machine does not do in a moment.
#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_a_large_account_may_take_its_time() {
    let Some(Scene { proxy, url, store: _store, _server }) = Scene::begin("large", |_| {}).await else { return };
    let fill = "INSERT INTO rows (kind, key, owner, body)
                SELECT 17, int4send(n), a.id, '' FROM accounts AS a, generate_series(1, 30000) AS n";
    sqlx::raw_sql(fill).execute(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap();
    // Its first group is made under the lock.
    let store = open(proxy.url("large"), |options| options.retry_for = Duration::ZERO).await;
    proxy.ponder_after(1_000_000, Duration::from_secs(6));
    let ops = vec![Op::DeleteAccount];
    let mutation = Mutation { did: scene::did("alice"), key: key(2), ops, blocks: Vec::new() };
    store.apply(mutation).await.unwrap();
    assert!(proxy.has_pondered());
}

/// What a plan reads is loaded with one statement for each sort of key, also of blobs that go with their records.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_records_lose_is_loaded_at_once() {
    const RECORDS: usize = 40;
    const BLOBS: usize = 20;
    let Some(Scene { proxy, store, _server, .. }) = Scene::begin("lost", |_| {}).await else { return };
    let did = scene::did("alice");
    let cids: Vec<_> = (0..RECORDS * BLOBS).map(|n| scene::blob_cid(&format!("blob {n}"))).collect();
    let ops = cids.iter().map(|cid| Op::PutBlob { cid: *cid, mime: "image/png".into(), bytes: 6 }).collect();
    store.apply(Mutation { did: did.clone(), key: key(2), ops, blocks: Vec::new() }).await.unwrap();
    let path = |n: usize| scene::path(&format!("com.example.note/{n:03}"));
    let puts = cids.chunks(BLOBS).enumerate().map(|(n, blobs)| {
        let mut content = scene::content(&n.to_string());
        content.blobs.extend(blobs);
        Write::Put(path(n), content)
    });
    let draft = SceneRepo::new(did.clone()).draft(&puts.collect::<Vec<_>>());
    let repo = draft.after.clone();
    store.apply(draft.mutation(key(3))).await.unwrap();
    assert!(store.blob(&did, &cids[7]).await.unwrap().is_some());
    let deletes: Vec<_> = (0..RECORDS).map(|n| Write::Delete(path(n))).collect();
    let mutation = repo.draft(&deletes).mutation(key(4));
    let before = proxy.messages();
    store.apply(mutation).await.unwrap();
    let messages = proxy.messages() - before;
    assert!(messages < 40, "{messages} messages for {} blobs", cids.len());
    assert!(store.blob(&did, &cids[7]).await.unwrap().is_none(), "the last reference to it is gone");
}
