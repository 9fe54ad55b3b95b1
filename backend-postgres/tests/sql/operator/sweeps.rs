//! How much one step of a sweep does, while all writers wait for it.

use backend_api::{Maintenance as _, Snapshots as _};
use backend_postgres::{Options, Postgres};
use conformance::scene;
use futures::StreamExt as _;
use postgres_fixture::{Database, available};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// A thousand generations of which nothing is left but their names: each takes some statements all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_ends_few_things_however_little_there_is_of_each() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let queue =
        "INSERT INTO sweeps (kind, id, pos, since) SELECT 1, n, 0, '1970-01-01' FROM generate_series(1, 1000) AS n";
    sqlx::query(queue).execute(&mut connection).await.unwrap();
    let turn = async |connection: &mut PgConnection| {
        let row = sqlx::query("SELECT turn FROM store").fetch_one(connection).await.unwrap();
        row.get::<i64, _>(0)
    };
    let before = turn(&mut connection).await;
    let report = store.sweep(1_000_000).await.unwrap();
    assert!(report.done);
    assert_eq!(report.entries, 1_000);
    let steps = turn(&mut connection).await - before;
    assert!((20..=100).contains(&steps), "{steps} steps for 1,000 generations");
    store.close().await.unwrap();
}

/// A server can be told to from version 17 on.
async fn limit_transactions(connection: &mut PgConnection, database: &str, time: &str) {
    let known = "SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'";
    if sqlx::query(known).fetch_optional(&mut *connection).await.unwrap().is_some() {
        let set = format!("ALTER DATABASE {database} SET transaction_timeout = '{time}'");
        sqlx::query(AssertSqlSafe(set)).execute(connection).await.unwrap();
    }
}

/// Who reads a copy slowly is no idle client, whatever an operator has set for those.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_may_be_read_slowly() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let name = database.name();
    let set = format!("ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '200ms'");
    sqlx::query(AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let key = |n: u8| backend_api::IdempotencyKey([n; 16]);
    let account = backend_api::Mutation {
        did: scene::did("alice"),
        key: key(1),
        ops: vec![conformance::create_account("alice")],
        blocks: Vec::new(),
    };
    backend_api::Writes::apply(&*store, account).await.unwrap();
    let rows = (0..2_000).map(|n| scene::put_row(scene::row(&format!("row{n}"), "{}"))).collect::<Vec<_>>();
    for (n, ops) in rows.chunks(100).enumerate() {
        let did = scene::did("alice");
        let mutation = backend_api::Mutation { did, key: key(2 + n as u8), ops: ops.to_vec(), blocks: Vec::new() };
        backend_api::Writes::apply(&*store, mutation).await.unwrap();
    }
    limit_transactions(&mut connection, name, "900ms").await;
    let mut items = store.snapshot().await.unwrap().items;
    items.next().await.unwrap().unwrap();
    sqlx::query("SELECT pg_sleep(1)").execute(&mut connection).await.unwrap();
    let mut rest = 0;
    while let Some(item) = items.next().await {
        item.unwrap();
        rest += 1;
    }
    assert!(rest > 2_000, "{rest} items");
    drop(items);
    store.close().await.unwrap();
}

/// One damaged row would otherwise fill the disk with all that is due.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_holds_up_nothing_else() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let damage = "INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, released)
                  VALUES (1, 'did:plc:alice', decode(repeat('01', 16), 'hex'), 0, '1970-01-02', 0, 0, '\\x00');
                  INSERT INTO rows (kind, key, expires_at, body) VALUES (17, '\\x01', '1970-01-02', '');
                  INSERT INTO sweeps (kind, id, pos, since) VALUES (1, 7, 0, '1970-01-02');
                  INSERT INTO events (seq, at, frame) VALUES (1, '1970-01-02', ''), (2, '1970-01-02', '');
                  UPDATE store SET turn = turn + 1, pos = 1, seq = 2";
    sqlx::raw_sql(damage).execute(&mut connection).await.unwrap();
    let report = store.sweep(1_000).await.unwrap();
    assert_eq!((report.done, report.entries, report.rows, report.events), (true, 1, 1, 1), "{report:?}");
    assert!(report.held.len() == 1 && report.held[0].contains("mutations.released"), "{report:?}");
    sqlx::raw_sql("UPDATE mutations SET released = NULL").execute(&mut connection).await.unwrap();
    let report = store.sweep(1_000).await.unwrap();
    assert_eq!((report.done, report.entries, report.held), (true, 1, vec![]));
    store.close().await.unwrap();
}
