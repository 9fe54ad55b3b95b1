//! Processes hear of each other at once, and in the end also if they do not.

use std::time::Duration;

use backend_api::{Firehose as _, Seq, Writes as _};
use postgres_fixture::{Durability, local};
use sqlx::{Connection as _, PgConnection};

use super::{SceneRepo, account, commit, database, open, scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_wakes_and_a_lost_one_costs_a_second() {
    const COMMITS: u8 = 20;
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "wakes").await;
    let (store, other) = (open(url.clone(), |_| {}).await, open(url.clone(), |_| {}).await);
    let mut repo = SceneRepo::new(scene::did("alice"));
    store.apply(account("alice")).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    while sqlx::query_scalar::<_, i64>(listening).fetch_one(&mut connection).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    // Who is not woken asks once a second.
    let limit = Duration::from_secs(u64::from(COMMITS) / 2);
    let writing = async {
        for n in 0..COMMITS {
            let (mutation, after) = commit(&repo, n + 2);
            repo = after;
            let seq = store.apply(mutation).await.unwrap().first_seq;
            assert!(other.wait_events(Seq::new(seq.get() - 1).unwrap()).await.unwrap() >= seq);
        }
    };
    tokio::time::timeout(limit, writing).await.expect("a notification wakes");
    // Written past the store, and nobody is told.
    let silent = "UPDATE store SET turn = turn + 1, seq = seq + 1; \
                  INSERT INTO events (seq, at, frame) SELECT seq, at, '\\x00' FROM store";
    sqlx::raw_sql(silent).execute(&mut connection).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(30), other.wait_events(Seq::new(COMMITS.into()).unwrap()));
    assert_eq!(waited.await.expect("it asks").unwrap().get(), u64::from(COMMITS) + 1);
}
