//! How much is fetched and looked at: by bytes and transactions, not by time.

use super::*;
use backend_api::{Expect, Op, Row, RowKey, RowKind};
use sqlx::AssertSqlSafe;

/// Most of what a busy repo took away is needed again or gone when its window has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_looks_at_little_under_the_lock_and_at_nothing_twice() {
    const MUTATIONS: u64 = 40;
    const CIDS: u64 = 3_000;
    const BUDGET: u64 = 1_000;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("looks", |_| {}).await else { return };
    let fill = format!(
        "INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, repo, released)
         SELECT m, 'did:web:gone', decode(lpad(m::text, 32, '0'), 'hex'), 0, '1970-01-02', 1, 0, 1,
                (SELECT string_agg('\\x01711220'::bytea || sha256(format('%s %s', m, c)::bytea), '')
                 FROM generate_series(1, {CIDS}) AS c)
         FROM generate_series(2, {MUTATIONS}) AS m;
         UPDATE mutations SET at = '1970-01-02';
         UPDATE store SET turn = turn + 1, pos = {MUTATIONS}"
    );
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    let (heard, begun) = (proxy.heard_bytes(), proxy.begun());
    let (mut calls, mut entries) = (0, 0);
    loop {
        let report = store.sweep(BUDGET as usize).await.unwrap();
        (calls, entries) = (calls + 1, entries + report.entries);
        if report.done {
            break;
        }
        assert!(report.entries > 0 && calls < 1_000, "{report:?}");
    }
    let (heard, begun) = (proxy.heard_bytes() - heard, proxy.begun() - begun);
    assert_eq!(entries, MUTATIONS, "their receipts");
    let cids = (MUTATIONS - 1) * CIDS;
    assert!(begun >= cids / BUDGET, "{begun} transactions for {cids} CIDs");
    assert!(heard < cids * 36 * 3 / 2, "{heard} bytes for {cids} CIDs");
}

/// Of a row that goes, and of one whose body is only compared, hardly more is fetched than its name.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_rows_are_fetched_as_far_as_they_are_looked_at() {
    const ROWS: u8 = 60;
    const BYTES: usize = 300_000;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("bodies", |_| {}).await else { return };
    let fill = format!(
        "INSERT INTO rows (kind, key, owner, unique_0, body)
         SELECT {}, decode(lpad(to_hex(n), 2, '0'), 'hex'), a.id, decode(lpad(to_hex(n), 2, '0'), 'hex'),
                decode(repeat('61', {BYTES}), 'hex')
         FROM accounts AS a, generate_series(1, {ROWS}) AS n;
         UPDATE store SET turn = turn + 1",
        RowKind::Custom as i16
    );
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    let mutation = |n: u8, ops| Mutation { did: scene::did("alice"), key: key(n), ops, blocks: Vec::new() };
    let row_key = |n: u8| RowKey { kind: RowKind::Custom, key: vec![n] };
    let put = |n: u8, body: &[u8], expect| {
        let mut row = Row::new(RowKind::Custom, [n], body.to_vec());
        row.owner = Some(scene::did("alice"));
        Op::PutRow { row, expect }
    };
    let delete = |n, expect| Op::DeleteRow { key: row_key(n), expect };
    let mut unique = Row::new(RowKind::Custom, [200], Vec::new());
    unique.unique = vec![vec![9]];
    let body = vec![b'a'; BYTES];
    let longer = [body.as_slice(), b"a"].concat();
    let before = proxy.heard_bytes();
    let answers = store
        .apply_many(vec![
            mutation(10, (1..=ROWS).map(|n| delete(n, Expect::Absent)).collect()),
            mutation(11, (1..=ROWS).map(|n| put(n, b"", Expect::Absent)).collect()),
            mutation(12, vec![put(1, b"", Expect::Body(Vec::new()))]),
            mutation(13, vec![delete(2, Expect::Body(body[1..].to_vec()))]),
            mutation(14, vec![delete(2, Expect::Body(longer))]),
            mutation(15, vec![Op::PutRow { row: unique, expect: Expect::Any }]),
            mutation(16, vec![delete(2, Expect::Body(body.clone()))]),
            mutation(17, vec![put(3, &body, Expect::Any), put(4, b"a", Expect::Any)]),
            mutation(18, vec![Op::TakeRow(row_key(5)), Op::TakeRow(row_key(4))]),
            mutation(19, vec![Op::DeleteAccount]),
        ])
        .await;
    let heard = proxy.heard_bytes() - before;
    let refusals: Vec<_> = answers.iter().take(6).map(|answer| answer.as_ref().err().map(|e| e.reason())).collect();
    let [exists, mismatch] = [Some(Reason::RowExists), Some(Reason::RowMismatch)];
    assert_eq!(refusals, [exists, exists, mismatch, mismatch, mismatch, Some(Reason::RowNotUnique)]);
    assert_eq!(answers[6..].iter().filter_map(|answer| answer.as_ref().err()).count(), 0, "{answers:?}");
    let taken: Vec<_> = answers[8].as_ref().unwrap().taken.iter().map(|row| row.body.len()).collect();
    assert_eq!(taken, [BYTES, 1], "what is taken is given whole");
    // Rows 2, 3 and 5 are compared with as much or given, in more than one round of loading.
    assert!(heard < 10 * BYTES as u64, "{heard} bytes for {ROWS} rows of {BYTES}");
    let left = sqlx::query("SELECT count(*) FROM rows").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left.get::<i64, _>(0), 0);
}

/// What cannot be loaded in time fails by itself, and not again and again with all that come with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_takes_too_long_fails_alone() {
    let change = |options: &mut Options| options.statement_timeout = Duration::from_secs(2);
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("alone", change).await else { return };
    let mut lock = PgConnection::connect(&url).await.unwrap();
    let mut lock = lock.begin().await.unwrap();
    sqlx::query("LOCK TABLE blobs").execute(&mut *lock).await.unwrap();
    let put = Op::PutBlob { cid: scene::blob_cid("blob"), mime: "image/png".into(), bytes: 4 };
    let slow = Mutation { did: scene::did("alice"), key: key(2), ops: vec![put], blocks: Vec::new() };
    let answers = store.apply_many(vec![account("bob"), slow.clone(), account("carol")]).await;
    let reasons: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|e| e.reason())).collect();
    assert_eq!(reasons, [None, Some(Reason::Overloaded), None]);
    lock.rollback().await.unwrap();
    store.apply(slow).await.unwrap();
}

/// Rows of a megabyte each, by number.
async fn fill_with_bodies(url: &str, rows: u8) {
    let fill = format!(
        "INSERT INTO rows (kind, key, body)
         SELECT {}, decode(lpad(to_hex(n), 2, '0'), 'hex'), decode(repeat('61', {BODY}), 'hex')
         FROM generate_series(1, {rows}) AS n;
         UPDATE store SET turn = turn + 1",
        RowKind::Custom as i16
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut PgConnection::connect(url).await.unwrap()).await.unwrap();
}

const BODY: usize = 1_000_000;

/// A mutation that takes rows by number.
fn takes(n: u8, rows: impl Iterator<Item = u8>) -> Mutation {
    let take = |n| Op::TakeRow(RowKey { kind: RowKind::Custom, key: vec![n] });
    Mutation { did: scene::did("alice"), key: key(n), ops: rows.map(take).collect(), blocks: Vec::new() }
}

/// A mutation that takes rows is short where it waits, and four megabytes when it is planned.
#[tokio::test(flavor = "multi_thread")]
async fn what_mutations_take_is_in_memory_for_a_few_of_them() {
    const ROWS: u8 = 60;
    const EACH: u8 = 3;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("taken", |_| {}).await else { return };
    fill_with_bodies(&url, ROWS).await;
    let before = proxy.heard_bytes();
    let refused = store.apply(takes(200, 1..=ROWS)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::TooLarge);
    let heard = proxy.heard_bytes() - before;
    // It is planned twice: somebody else has written.
    assert!(heard < 50 * BODY as u64, "{heard} bytes for a mutation that may take 4 MiB");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut turn = async || sqlx::query("SELECT turn FROM store").fetch_one(&mut connection).await.unwrap().get(0);
    let before: i64 = turn().await;
    let all: Vec<u8> = (1..=ROWS).collect();
    let mutations = all.chunks(EACH.into()).enumerate().map(|(n, rows)| takes(30 + n as u8, rows.iter().copied()));
    let mut mutations: Vec<_> = mutations.collect();
    mutations.push(takes(100, 1..=1));
    let answers = store.apply_many(mutations.clone()).await;
    let groups = turn().await - before;
    assert!(groups >= 3, "{groups} groups for {ROWS} rows of {BODY} bytes");
    assert_eq!(answers.last().unwrap().as_ref().unwrap_err().reason(), Reason::RowMissing, "it was taken before");
    for answer in &answers[..answers.len() - 1] {
        let taken = &answer.as_ref().unwrap().taken;
        assert!(taken.len() == usize::from(EACH) && taken.iter().all(|row| row.body.len() == BODY));
    }
    let again = store.apply(mutations.swap_remove(0)).await.unwrap();
    assert_eq!(&again, answers[0].as_ref().unwrap());
}
