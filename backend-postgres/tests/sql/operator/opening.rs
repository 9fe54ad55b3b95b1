//! What an operator may have got wrong, or has under way, when a store is opened.

use std::time::Duration;

use backend_api::{Maintenance as _, Reason};
use backend_postgres::{Options, Postgres};
use postgres_fixture::{Database, available};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

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
