//! How many transactions the server commits for groups: one for each.

use super::*;

const CALLERS: usize = 24;

/// Transactions that have written: who only reads has no number. The server's own housekeeping would have some.
async fn written(connection: &mut PgConnection) -> u64 {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    sqlx::query(sql).fetch_one(connection).await.unwrap().get::<i64, _>(0).unsigned_abs()
}

/// Counters, and what the server counts.
async fn figures(store: &Postgres, connection: &mut PgConnection) -> [u64; 4] {
    let lost = counter(store, "races").await + counter(store, "retries").await;
    [written(connection).await, counter(store, "cycles").await, counter(store, "mutations").await, lost]
}

/// How many mutations made how many groups; each group was one transaction.
async fn were_groups(store: &Postgres, connection: &mut PgConnection, before: [u64; 4], what: &str) -> (u64, u64) {
    let after = figures(store, connection).await;
    let [written, groups, mutations, lost] = std::array::from_fn(|i| after[i] - before[i]);
    // A group that somebody was in the way of has begun to write, and is made again.
    assert!(
        (groups..=groups + lost).contains(&written),
        "{what}: {written} transactions, {groups} groups, {lost} lost"
    );
    (mutations, groups)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_one_transaction_however_many_mutations_and_statements_it_has() {
    let Some(server) = local(Durability::Fast, "autovacuum = off") else { return };
    let url = database(&server, "transactions").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let store = open(url, |_| {}).await;
    let names: Vec<String> = (0..CALLERS).map(|n| format!("caller{n}")).collect();
    let before = figures(&store, &mut connection).await;
    let answers = store.apply_many(names.iter().map(|name| account(name)).collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(were_groups(&store, &mut connection, before, "accounts").await, (CALLERS as u64, 1));
    let mut repos: Vec<SceneRepo> = names.iter().map(|name| SceneRepo::new(scene::did(name))).collect();
    // Statements of their own write rows: by the first group without a lock, too.
    for (n, with_rows) in [(2, false), (3, true), (4, false)] {
        let before = figures(&store, &mut connection).await;
        let next = repos.iter_mut().map(|repo| {
            let (mutation, after) = commit(repo, n);
            *repo = after;
            if with_rows { with_row(mutation) } else { mutation }
        });
        assert!(store.apply_many(next.collect()).await.iter().all(Result::is_ok));
        assert_eq!(were_groups(&store, &mut connection, before, "together").await, (CALLERS as u64, 1));
    }
    let before = figures(&store, &mut connection).await;
    let callers = repos.into_iter().map(|mut repo| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 10..40 {
                let (mutation, after) = commit(&repo, n);
                store.apply(mutation).await.unwrap();
                repo = after;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let (mutations, groups) = were_groups(&store, &mut connection, before, "at once").await;
    assert_eq!(mutations, 30 * CALLERS as u64);
    assert!(groups < mutations / 2, "{mutations} mutations in {groups} groups");
    // One by one each is a group.
    assert!(counter(&store, "cycles_pipelined").await > 0);
}
