//! The schema, brought forward at every opening.
//!
//! Under the lock of a table, in one transaction: of many processes that open at the same time one migrates, and the others
//! find it done. No session-level lock, so that a pooler or another engine of the same protocol may stand in between.

use backend_api::{Error, Reason, Result};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::error::unprepared;
use crate::shared::take_as_long_as_it_takes;
use crate::types::Columns as _;

/// What a name of the server's may have (`NAMEDATALEN`, less its zero).
pub(crate) const IDENTIFIER_BYTES_MAX: usize = 63;

/// A step forward.
pub struct Migration {
    /// Its number: 1, 2, 3, ...
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    /// Its statements. What was once released is never changed.
    pub sql: &'static str,
}

/// All steps, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "schema", sql: include_str!("../migrations/0001_schema.sql") },
    Migration { version: 2, name: "old_snapshots", sql: include_str!("../migrations/0002_old_snapshots.sql") },
];

/// The tables that a store has besides.
const TABLES: [&str; 15] = [
    "accounts",
    "blob_uses",
    "blobs",
    "blocks",
    "changes",
    "commits",
    "events",
    "links",
    "mutations",
    "records",
    "repos",
    "rows",
    "slots",
    "store",
    "sweeps",
];

/// Brings a schema to the newest version.
///
/// # Errors
/// [`Reason::WrongStore`] for a database of a newer version of this program, or one whose steps were other ones. Nothing
/// was changed then.
pub async fn migrate(connection: &mut PgConnection, migrations: &[Migration]) -> Result<()> {
    if is_done(connection, migrations).await? {
        return Ok(());
    }
    create_table(connection).await?;
    let mut transaction = connection.begin().await.map_err(|e| unprepared("migrate", &e))?;
    // A step may take hours over much data, and who opens meanwhile waits for it.
    sqlx::query("SET LOCAL statement_timeout = 0")
        .execute(&mut *transaction)
        .await
        .map_err(|e| unprepared("migrate", &e))?;
    take_as_long_as_it_takes(&mut transaction).await.map_err(|e| unprepared("migrate", &e))?;
    tracing::info!("the schema is brought forward when nobody else is at that");
    sqlx::query("LOCK TABLE migrations IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .map_err(|e| unprepared("wait for the lock of the migrations", &e))?;
    let applied = applied(&mut transaction, migrations).await?;
    if applied < migrations.len() {
        lock_store(&mut transaction).await?;
    }
    for step in migrations.iter().skip(applied) {
        let what = format!("migrate to version {} ({})", step.version, step.name);
        sqlx::raw_sql(step.sql).execute(&mut *transaction).await.map_err(|e| unprepared(&what, &e))?;
        sqlx::query("INSERT INTO migrations (version, name, sha256) VALUES ($1, $2, $3)")
            .bind(step.version)
            .bind(step.name)
            .bind(Sha256::digest(step.sql).as_slice())
            .execute(&mut *transaction)
            .await
            .map_err(|e| unprepared(&what, &e))?;
        tracing::info!(version = step.version, name = step.name, "migrated");
    }
    transaction.commit().await.map_err(|e| unprepared("commit the migrations", &e))
}

/// True if nothing is left to do. Nobody is waited for, so that a store opens while it is dumped, which holds a lock of all
/// its tables. Tables of somebody else's are left alone.
async fn is_done(connection: &mut PgConnection, migrations: &[Migration]) -> Result<bool> {
    // In this order: whoever makes the store meanwhile makes that table first.
    let sql = include_str!("../sql/tables_there.sql");
    let row = sqlx::query(sql).bind(&TABLES[..]).fetch_one(&mut *connection).await;
    let row = row.map_err(|e| unprepared("look for the migrations", &e))?;
    match (row.number(0)?, row.number(1)?) {
        (0, 0) => Ok(false),
        (_, 0) => Err(Error::new(
            Reason::WrongStore,
            "the schema has tables of these names that are not a store's; nothing was changed: give the store a schema of \
             its own",
        )),
        _ => Ok(applied(connection, migrations).await? == migrations.len()),
    }
}

/// Locks the table of the store, if it is there. Who writes has its row locked when it goes on to other tables: of a step that
/// came to those first, and of who writes, the server would end one.
async fn lock_store(connection: &mut PgConnection) -> Result<()> {
    let fail = |e| unprepared("lock the store", &e);
    let sql = "SELECT num_nonnulls(to_regclass('store'))::bigint";
    if sqlx::query(sql).fetch_one(&mut *connection).await.map_err(fail)?.number(0)? == 0 {
        return Ok(());
    }
    sqlx::query("LOCK TABLE store IN ACCESS EXCLUSIVE MODE").execute(connection).await.map(drop).map_err(fail)
}

/// How many of the steps are done.
async fn applied(connection: &mut PgConnection, migrations: &[Migration]) -> Result<usize> {
    let applied = sqlx::query("SELECT version::bigint, name, sha256 FROM migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(|e| unprepared("read the migrations", &e))?;
    for (i, row) in applied.iter().enumerate() {
        let (version, name, sha256) = (row.number(0)?, row.text(1)?, row.bytes(2)?);
        let Some(known) = migrations.get(i) else {
            let detail = format!(
                "the database has schema version {version} ({name}), and this program knows only up to {}; nothing was \
                 changed: use the program that migrated it, or a newer one",
                migrations.len()
            );
            return Err(Error::new(Reason::WrongStore, detail));
        };
        if version != known.version as u64 || sha256 != Sha256::digest(known.sql).as_slice() {
            let detail =
                format!("the database's schema version {version} ({name}) is not this program's; nothing was changed");
            return Err(Error::new(Reason::WrongStore, detail));
        }
    }
    Ok(applied.len())
}

/// The table whose lock is waited for. Of two processes that create it at the same time one is told that the other did.
async fn create_table(connection: &mut PgConnection) -> Result<()> {
    const CREATE: &str = include_str!("../sql/create_migrations.sql");
    let created = sqlx::query(CREATE).execute(&mut *connection).await;
    match created {
        Err(e) if is_there_already(&e) => sqlx::query(CREATE)
            .execute(connection)
            .await
            .map(drop)
            .map_err(|e| unprepared("create the table of migrations", &e)),
        created => created.map(drop).map_err(|e| unprepared("create the table of migrations", &e)),
    }
}

/// True if somebody else made the same thing in between: `IF NOT EXISTS` looks first and makes then, and what fails is the
/// row of the table, of its type, or of its name, whichever comes first (unique_violation, duplicate_table,
/// duplicate_object, duplicate_schema).
fn is_there_already(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| matches!(&*code, "23505" | "42P07" | "42710" | "42P06"))
}

/// Checks the name of a schema, which becomes part of statements and settings.
pub(crate) fn check_schema(schema: &str) -> Result<()> {
    let is_name = !schema.is_empty()
        && schema.len() <= IDENTIFIER_BYTES_MAX
        && !schema.starts_with(|c: char| c.is_ascii_digit())
        && schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_name {
        let detail = format!(
            "schema: {schema:?} is not a name of at most {IDENTIFIER_BYTES_MAX} lower-case letters, digits and _"
        );
        return Err(Error::new(Reason::BadRequest, detail));
    }
    if schema.starts_with("pg_") || schema == "information_schema" {
        return Err(Error::new(Reason::BadRequest, format!("schema: {schema:?} is the server's own")));
    }
    Ok(())
}

/// Creates the schema if it is not there. Its name was checked.
pub(crate) async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<()> {
    let there = sqlx::query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1")
        .bind(schema)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|e| unprepared("look for the schema", &e))?;
    if there.is_some() {
        return Ok(());
    }
    let create = format!(r#"CREATE SCHEMA IF NOT EXISTS "{schema}""#);
    let created = sqlx::query(AssertSqlSafe(create)).execute(connection).await;
    match created {
        // Another process was faster.
        Err(e) if is_there_already(&e) => Ok(()),
        created => created.map(drop).map_err(|e| unprepared("create the schema", &e)),
    }
}
