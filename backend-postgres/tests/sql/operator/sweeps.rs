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

/// What each transaction deletes is noted: bytes of a table's column.
async fn note_deletions(connection: &mut PgConnection, table: &str, bytes: &str) {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS noted (tx bigint, bytes bigint);
         CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO noted VALUES (txid_current(), {bytes}); RETURN OLD; END $$;
         CREATE TRIGGER notes AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note_{table}()"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// A thousand frames of megabytes are gigabytes in the server's log, for which all writers would wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_forgets_few_bytes_however_few_things_these_are() {
    const MIB: i64 = 1 << 20;
    const EACH: i64 = 24;
    const STEP_MAX: i64 = 18 * MIB;
    if !available() {
        return;
    }
    let database = Database::create().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let (long, cid) = (format!("decode(repeat('61', {MIB}), 'hex')"), "'\\x01711220'::bytea || sha256(n::text::bytea)");
    let all = format!("generate_series(1, {EACH}) AS n");
    // Blocks of a generation that is gone (7), of one that is purged (8), and those that mutations released (9).
    let fill = format!(
        "INSERT INTO events (seq, at, frame) SELECT n, '1970-01-02', {long} FROM {all};
         INSERT INTO events (seq, at, frame) VALUES ({EACH} + 1, '1970-01-02', '');
         INSERT INTO rows (kind, key, expires_at, body) SELECT 17, int4send(n), '1970-01-02', {long} FROM {all};
         INSERT INTO blocks (repo, cid, refs, released, bytes)
         SELECT r, {cid}, 0, CASE r WHEN 9 THEN n ELSE 0 END, {long} FROM unnest(ARRAY[7, 8, 9]) AS r, {all};
         INSERT INTO records (repo, path, cid, pos, mentions)
         SELECT 7, n, {cid}, 1, to_jsonb((SELECT string_agg(sha256((n || ' ' || m)::bytea)::text, '')
                                          FROM generate_series(1, 20000) AS m)) FROM {all};
         INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, repo, released, taken)
         SELECT n, 'did:web:gone', decode(lpad(n::text, 32, '0'), 'hex'), 0, '1970-01-02', 1, 0, 9, {cid}, {long} FROM {all};
         INSERT INTO sweeps (kind, id, pos, since) VALUES (1, 7, 0, '1970-01-02'), (3, 8, 1, '1970-01-02');
         UPDATE store SET turn = turn + 1, pos = {EACH}, seq = {EACH} + 1"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    for (table, bytes) in [
        ("events", "octet_length(OLD.frame)"),
        ("rows", "octet_length(OLD.body)"),
        ("blocks", "octet_length(OLD.bytes)"),
        ("records", "pg_column_size(OLD.mentions)"),
        ("mutations", "octet_length(OLD.taken)"),
    ] {
        note_deletions(&mut connection, table, bytes).await;
    }
    let report = store.sweep(1_000_000).await.unwrap();
    let things = (report.done, report.blocks, report.rows, report.events);
    assert_eq!(things, (true, 3 * EACH as u64, EACH as u64, EACH as u64), "{report:?}");
    // Records, receipts, a generation, and two that are ended.
    assert_eq!(report.entries, 2 * EACH as u64 + 2, "{report:?}");
    let steps = "SELECT sum(bytes)::bigint FROM noted GROUP BY tx";
    let steps: Vec<i64> = sqlx::query_scalar(steps).fetch_all(&mut connection).await.unwrap();
    assert!(steps.iter().sum::<i64>() > 6 * EACH * MIB, "{steps:?}");
    assert!(steps.iter().all(|bytes| *bytes <= STEP_MAX), "{steps:?}");
    store.close().await.unwrap();
}

/// What every slot has read goes in small steps too.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_read_go_by_their_bytes() {
    const MIB: i64 = 1 << 20;
    const EACH: i64 = 24;
    if !available() {
        return;
    }
    let database = Database::create().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    store.register_slot("reader").await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let fill = format!(
        "INSERT INTO changes (pos, at, first_seq, body)
         SELECT n, '1970-01-02', 1, decode(repeat('61', {MIB}), 'hex') FROM generate_series(1, {EACH}) AS n;
         UPDATE store SET turn = turn + 1, pos = {EACH}"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    note_deletions(&mut connection, "changes", "octet_length(OLD.body)").await;
    store.advance_slot("reader", backend_api::Pos(EACH as u64 - 1)).await.unwrap();
    let steps = "SELECT sum(bytes)::bigint FROM noted GROUP BY tx";
    let steps: Vec<i64> = sqlx::query_scalar(steps).fetch_all(&mut connection).await.unwrap();
    assert_eq!(steps.iter().sum::<i64>(), (EACH - 1) * MIB);
    assert!(steps.iter().all(|bytes| *bytes <= 18 * MIB), "{steps:?}");
    store.close().await.unwrap();
}
