//! How much is fetched and looked at: by bytes and transactions, not by time.

use super::*;
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
