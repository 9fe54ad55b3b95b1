//! Options at the ends of what they may be, and databases that are not as one would make them.

use std::time::Duration;

use backend_api::{
    AccountName, Accounts as _, Changes as _, Firehose as _, IdempotencyKey, Maintenance as _, Mutation, Pos, Reason,
    Seq, Writes as _,
};
use backend_postgres::{Options, Postgres};
use conformance::{create_account, scene};
use postgres_fixture::{Database, Durability, available, local};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

fn key(n: u8) -> IdempotencyKey {
    IdempotencyKey([n; 16])
}

/// Writes an account and a commit, which has an event.
async fn write(store: &Postgres, name: &str) {
    let repo = scene::SceneRepo::new(scene::did(name));
    let ops = vec![create_account(name)];
    store.apply(Mutation { did: repo.did.clone(), key: key(1), ops, blocks: Vec::new() }).await.unwrap();
    let content = scene::content("text").with_link(scene::link("subject", "https://example.com/ﬁnd?q=日本"));
    let draft = repo.draft(&[scene::Write::Put(scene::path("com.example.note/1"), content)]);
    store.apply(draft.mutation(key(2))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_schema_may_have_is_one() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let options = |schema: &str| {
        let mut options = Options::new(database.url());
        options.schema = schema.into();
        options
    };
    let longest = "s".repeat(63);
    for schema in [longest.as_str(), "user", "select", "_"] {
        let store = Postgres::open(options(schema)).await.unwrap_or_else(|e| panic!("{schema}: {e}"));
        // Two of them, which must hear of each other.
        let other = Postgres::open(options(schema)).await.unwrap();
        write(&store, "alice").await;
        let seq = tokio::time::timeout(Duration::from_secs(30), other.wait_events(Seq::ZERO)).await;
        assert_eq!(seq.expect("it is told").unwrap().get(), 1, "{schema}");
        store.close().await.unwrap();
        other.close().await.unwrap();
        Postgres::drop_store(&options(schema)).await.unwrap_or_else(|e| panic!("{schema}: {e}"));
    }
    for schema in [&"s".repeat(64), "pg_catalog", "pg_temp", "information_schema"] {
        let refused = Postgres::open(options(schema)).await.err().unwrap_or_else(|| panic!("{schema} is refused"));
        assert_eq!(refused.reason(), Reason::BadRequest, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_what_the_server_takes_are_as_good_as_the_greatest() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    for (timeout, pool_size) in [
        (Duration::MAX, u32::MAX),
        (Duration::from_secs(u64::from(u32::MAX)), 0),
        (Duration::ZERO, 1),
        (Duration::from_secs(60), 3),
    ] {
        let mut options = Options::new(database.url());
        (options.statement_timeout, options.pool_size) = (timeout, pool_size);
        let store = Postgres::open(options).await.unwrap_or_else(|e| panic!("{timeout:?} {pool_size}: {e}"));
        store.stats().await.unwrap_or_else(|e| panic!("{timeout:?} {pool_size}: {e}"));
        store.close().await.unwrap();
    }
}

/// Text that not every encoding has would be refused when somebody writes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("of_{}", encoding.to_lowercase());
        let sql = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let refused = Postgres::open(Options::new(server.url(&name))).await.err().expect("it is refused");
        assert_eq!(refused.reason(), Reason::BadRequest, "{refused}");
        assert!(refused.detail().contains(encoding), "{refused}");
    }
}

/// What an operator may have set for a whole database.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_database_do_not_change_what_a_write_does() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let version = sqlx::query("SELECT current_setting('server_version_num')::integer").fetch_one(&mut connection).await;
    // A database cannot have such an order before.
    let create = match version.unwrap().get::<i32, _>(0) {
        ..150_000 => "CREATE DATABASE odd TEMPLATE template0",
        _ => "CREATE DATABASE odd LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C' TEMPLATE template0",
    };
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    sqlx::raw_sql(
        "ALTER DATABASE odd SET default_transaction_isolation = 'serializable';
         ALTER DATABASE odd SET TimeZone = 'Asia/Kathmandu';
         ALTER DATABASE odd SET DateStyle = 'German, DMY';
         ALTER DATABASE odd SET bytea_output = 'escape';
         ALTER DATABASE odd SET client_encoding = 'LATIN1';
         ALTER DATABASE odd SET lock_timeout = '1s';
         ALTER DATABASE odd SET search_path = 'elsewhere'",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let (store, other) =
        (Postgres::open(Options::new(server.url("odd"))).await, Postgres::open(Options::new(server.url("odd"))).await);
    let (store, other) = (store.unwrap(), other.unwrap());
    let mut all = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = if n % 2 == 0 { store.clone() } else { other.clone() };
        all.spawn(async move { write(&store, &format!("account{n}")).await });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    assert_eq!(store.event_window().await.unwrap().head.get(), 40);
    let report = store.verify(backend_api::VerifyLevel::Deep).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 40));
    let name = AccountName::Handle(scene::handle("account7"));
    assert!(other.account(&name).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_stops_changes_of_slots_too() {
    if !available() {
        return;
    }
    let database = Database::create().await;
    let url = database.url();
    let (old, other) =
        (Postgres::open(Options::new(&url)).await.unwrap(), Postgres::open(Options::new(&url)).await.unwrap());
    old.register_slot("reader").await.unwrap();
    write(&old, "alice").await;
    let pos = old.position().await.unwrap();
    other.fence().await.unwrap();
    let new = Postgres::open(Options::new(&url)).await.unwrap();
    for store in [&old, &new] {
        for refused in [
            store.register_slot("another").await.map(drop),
            store.advance_slot("reader", pos).await,
            store.drop_slot("reader").await,
        ] {
            assert_eq!(refused.err().map(|e| e.reason()), Some(Reason::Closed));
        }
    }
    assert_eq!(new.register_slot("reader").await.unwrap(), Pos(0), "where it stands can be asked");
    assert_eq!(new.changes(Pos(0), 10, 1 << 20).await.unwrap().len(), 2, "and nothing of it is gone");
    let mut options = Options::new(&url);
    options.slot = Some("reader".into());
    Postgres::open(options.clone()).await.unwrap().close().await.unwrap();
    options.slot = Some("another".into());
    assert_eq!(Postgres::open(options).await.err().map(|e| e.reason()), Some(Reason::Closed));
    for bad in ["", "a\0b", &"x".repeat(129)] {
        assert_eq!(new.advance_slot(bad, pos).await.err().map(|e| e.reason()), Some(Reason::BadRequest), "{bad:?}");
    }
}
