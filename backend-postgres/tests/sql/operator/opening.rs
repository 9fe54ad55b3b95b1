//! What an operator may have got wrong, or has under way, when a store is opened.

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Maintenance as _, Micros, Reason};
use backend_postgres::{Clock, Options, Postgres, SystemClock};
use postgres_fixture::{Database, available};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::common::tables;

async fn refused(options: Options) -> backend_api::Error {
    Postgres::open(options).await.err().expect("it is refused")
}

/// Of a URL that is not one the library makes another one, and connects to that: a password would be the name of a database.
#[tokio::test]
async fn a_password_in_the_wrong_place_is_not_repeated() {
    for url in [
        "pds:s3cretPW@127.0.0.1:5432/pds",
        "postgres:s3cretPW@db.example.com/pds",
        "postgres:///pds:s3cretPW@db/pds",
        "postgres://pds:s3/s3cretPW@db/pds",
        "mysql://pds:s3cretPW@db/pds",
        "//pds:s3cretPW@db/pds",
        "",
    ] {
        let error = refused(Options::new(url)).await;
        assert_eq!(error.reason(), Reason::BadRequest, "{url}: {error}");
        assert!(!error.detail().contains("s3cretPW"), "{url}: {error}");
    }
    if !available() {
        return;
    }
    let database = Database::create().await;
    let (before, name) = database.url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let name = name.split('?').next().unwrap_or_default();
    let socket = before.strip_prefix("postgres://").map_or(before.as_str(), |rest| rest.rsplit('@').next().unwrap());
    for url in [format!("{before}/s3cretPW"), format!("postgres://s3cretPW@{socket}/{name}")] {
        let error = refused(Options::new(url)).await;
        assert!(!error.detail().contains("s3cretPW"), "{error}");
        assert!(error.detail().contains("SQLSTATE"), "{error}");
    }
}

/// What became of a commit whose connection was lost is looked up, some time after.
#[tokio::test]
async fn a_window_in_which_receipts_are_forgotten_at_once_is_refused() {
    let mut options = Options::new("postgres://localhost/none");
    options.history_window_us = 3_600_000_000 - 1;
    let error = refused(options).await;
    assert_eq!(error.reason(), Reason::BadRequest);
    assert!(error.detail().contains("history_window_us"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_program_are_left_alone() {
    if !available() {
        return;
    }
    for other in [
        "CREATE TABLE migrations (id serial PRIMARY KEY, migration text)",
        "CREATE TABLE accounts (id serial PRIMARY KEY)",
        "CREATE VIEW store AS SELECT 1 AS id",
    ] {
        let database = Database::create().await;
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        sqlx::query(other).execute(&mut connection).await.unwrap();
        let before = tables(&mut connection).await;
        let error = refused(Options::new(database.url())).await;
        assert_eq!(error.reason(), Reason::WrongStore, "{other}: {error}");
        assert!(error.detail().contains("schema"), "{other}: {error}");
        assert_eq!(tables(&mut connection).await, before, "{other}: nothing was changed");
    }
}

/// Also by one that is made late: then nothing may be left of those before it.
#[tokio::test(flavor = "multi_thread")]
async fn any_table_of_another_program_is_noticed_before_anything_is_made() {
    if !available() {
        return;
    }
    let store = crate::common::database().await;
    let mut connection = PgConnection::connect(&store.url()).await.unwrap();
    let mut names = tables(&mut connection).await;
    names.retain(|name| name != "migrations");
    assert!(names.len() > 10, "{names:?}");
    let database = Database::create().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    for name in names {
        let run = async |connection: &mut PgConnection, sql: String| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
        };
        run(&mut connection, format!("CREATE TABLE {name} (id serial PRIMARY KEY)")).await;
        let error = refused(Options::new(database.url())).await;
        assert_eq!(error.reason(), Reason::WrongStore, "{name}: {error}");
        assert_eq!(tables(&mut connection).await, [name.as_str()], "nothing was changed");
        run(&mut connection, format!("DROP TABLE {name}")).await;
    }
}

/// `pg_dump` holds a lock of every table until it is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_opens_while_it_is_dumped() {
    if !available() {
        return;
    }
    let database = crate::common::database().await;
    let mut dump = PgConnection::connect(&database.url()).await.unwrap();
    let names = tables(&mut dump).await.join(", ");
    let lock = format!("BEGIN; LOCK TABLE {names} IN ACCESS SHARE MODE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut dump).await.unwrap();
    let opened = tokio::time::timeout(Duration::from_secs(60), Postgres::open(Options::new(database.url()))).await;
    opened.expect("nobody is waited for").unwrap().close().await.unwrap();
}

/// Without a replica identity the server refuses every update of a table that is published.
#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_all_tables_stops_no_write() {
    if !available() {
        return;
    }
    // A server that streams no changes does not ask for an identity: said by the catalogue, whatever the server streams.
    let database = crate::common::database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let sql = "SELECT relname::text FROM pg_class AS c
               WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relreplident <> 'f'
                 AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)";
    let without = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    let without: Vec<String> = without.iter().map(|row| row.get(0)).collect();
    assert_eq!(without, Vec::<String>::new(), "tables that a publication would make read-only");
    sqlx::raw_sql("CREATE PUBLICATION everything FOR ALL TABLES").execute(&mut connection).await.unwrap();
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mutation = backend_api::Mutation {
        did: conformance::scene::did("alice"),
        key: backend_api::IdempotencyKey([1; 16]),
        ops: vec![conformance::create_account("alice")],
        blocks: Vec::new(),
    };
    backend_api::Writes::apply(&*store, mutation).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_told_at_the_opening() {
    if !available() {
        return;
    }
    let database = crate::common::database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let name: String = sqlx::query("SELECT current_database()::text").fetch_one(&mut connection).await.unwrap().get(0);
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
    let error = refused(Options::new(database.url())).await;
    assert_eq!(error.reason(), Reason::ReadFailed, "{error}");
    assert!(error.detail().contains("takes no writes"), "{error}");
}

/// The tables may be somebody else's, who lets the store's user read and write them, and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_needs_no_more_than_to_read_and_write() {
    if !available() {
        return;
    }
    let database = crate::common::database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let role = format!("{}_user", database.name());
    let run = async |connection: &mut PgConnection, sql: &str| {
        let sql = sql.replace("{role}", &role).replace("{name}", database.name());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    };
    run(&mut connection, "CREATE ROLE {role} LOGIN PASSWORD 'right'; REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let admin = database.url();
    let place = admin.split_once("://").map_or("", |(_, rest)| rest.rsplit_once('@').map_or(rest, |(_, place)| place));
    let url = format!("postgres://{role}:right@{place}");
    let error = refused(Options::new(&url)).await;
    assert_eq!(error.reason(), Reason::BadRequest, "{error}");
    assert!(error.detail().contains("give the user the schema"), "{error}");
    let grant = "GRANT USAGE ON SCHEMA public TO {role}; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}";
    run(&mut connection, grant).await;
    let store = Postgres::open(Options::new(&url)).await.unwrap();
    let mutation = backend_api::Mutation {
        did: conformance::scene::did("alice"),
        key: backend_api::IdempotencyKey([1; 16]),
        ops: vec![conformance::create_account("alice")],
        blocks: Vec::new(),
    };
    backend_api::Writes::apply(&*store, mutation).await.unwrap();
    store.register_slot("reader").await.unwrap();
    store.sweep(10).await.unwrap();
    assert_eq!(store.verify(backend_api::VerifyLevel::Deep).await.unwrap().problems, Vec::<String>::new());
    store.close().await.unwrap();
    run(&mut connection, "DROP OWNED BY {role}; DROP ROLE {role}").await;
}

/// Its numbers begin anew: who follows one of them would be given those of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_place_of_the_one_that_was_opened_is_not_written_to() {
    if !available() {
        return;
    }
    let database = crate::common::database().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let write = |n: u8| {
        let mutation = backend_api::Mutation {
            did: conformance::scene::did(&format!("user{n}")),
            key: backend_api::IdempotencyKey([n; 16]),
            ops: vec![conformance::create_account(&format!("user{n}"))],
            blocks: Vec::new(),
        };
        backend_api::Writes::apply(&*store, mutation)
    };
    write(1).await.unwrap();
    sqlx::raw_sql("DELETE FROM store").execute(&mut connection).await.unwrap();
    let error = write(2).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DataCorrupt, "{error}");
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&mut connection).await.unwrap();
    let new = Postgres::open(Options::new(database.url())).await.unwrap();
    for refused in [write(3).await.map(drop), store.sweep(10).await.map(drop), store.register_slot("a").await.map(drop)]
    {
        assert_eq!(refused.map_err(|e| e.reason()), Err(Reason::WrongStore));
    }
    assert_eq!(backend_api::Changes::position(&*new).await.unwrap(), backend_api::Pos(0));
    assert!(store.stats().await.unwrap().stopped.is_some_and(|why| why.contains("another store")));
}

/// Both have written nothing: they differ by their names alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_in_place_of_a_new_one_is_not_written_to() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    let mutation = |ops| backend_api::Mutation {
        did: conformance::scene::did("alice"),
        key: backend_api::IdempotencyKey([1; 16]),
        ops,
        blocks: Vec::new(),
    };
    // From the refusal it knows where the store stands.
    let refused = backend_api::Writes::apply(&*store, mutation(vec![backend_api::Op::DeleteAccount])).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::AccountMissing);
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&mut connection).await.unwrap();
    let new = Postgres::open(Options::new(database.url())).await.unwrap();
    let create = mutation(vec![conformance::create_account("alice")]);
    let refused = backend_api::Writes::apply(&*store, create).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::WrongStore);
    assert_eq!(backend_api::Changes::position(&*new).await.unwrap(), backend_api::Pos(0));
}

/// The machine's clock, set wrong.
struct Wrong {
    ahead_us: i64,
}

impl Clock for Wrong {
    fn now(&self) -> Micros {
        Micros(SystemClock.now().0.saturating_add_signed(self.ahead_us))
    }

    fn is_of_the_world(&self) -> bool {
        SystemClock.is_of_the_world()
    }
}

/// One process would set the time of all, and sweep what is not due.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_hours_ahead_of_the_servers_is_refused() {
    const MINUTE_US: i64 = 60_000_000;
    if !available() {
        return;
    }
    let database = Database::create().await;
    let with = |minutes: i64| {
        let mut options = Options::new(database.url());
        options.clock = Arc::new(Wrong { ahead_us: minutes * MINUTE_US });
        options
    };
    let error = refused(with(80 * 60)).await;
    assert_eq!(error.reason(), Reason::ReadFailed, "{error}");
    assert!(error.detail().contains("4800 minutes ahead"), "{error}");
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    assert_eq!(tables(&mut connection).await, Vec::<String>::new(), "nothing was changed");
    refused(with(61)).await;
    for good in [59, -80 * 60] {
        Postgres::open(with(good)).await.unwrap().close().await.unwrap();
    }
}
