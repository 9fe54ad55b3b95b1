//! The store behind the contract: one file for each facet of the trait.

mod accounts;
mod blobs;
mod blocks;
mod changes;
mod firehose;
mod maintenance;
mod records;
mod repos;
mod rows;
mod snapshots;
mod writes;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend_api::limits::PAGE_ITEMS_MAX;
use backend_api::{Error, Micros, Page, Reason, Result};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::attend::Attended;
use crate::clock::Clock;
use crate::error::failed;
use crate::migrate::{IDENTIFIER_BYTES_MAX, MIGRATIONS, check_schema, create_schema, migrate};
use crate::options::Options;
use crate::shared::{
    CONNECT_TIMEOUT, Counters, Head, KEEPALIVES, Shared, Watched, closed, connect as open_connection, locking,
    takes_writes,
};
use crate::silence::Silence;
use crate::write::{Position, Queue, Writer};

/// Connections that the store needs at least: one writes, or two where there are more, one listens, the others read. What takes
/// long, such as a sweep or a snapshot, has one more for as long as it takes.
const POOL_SIZE_MIN: u32 = 3;
/// A statement is planned once on each connection, whatever its values are: planning a group's anew costs more than executing
/// it. A plan that is kept must not rest on tables being small when it was made, so it has no choice but indexes.
/// `tests/plans.rs` looks at the plans under the same settings.
pub const PLANNING: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // It gives no order: all of a range would be read and sorted for the first of it.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];
/// A commit whose connection was lost is looked up by its receipt, which is kept as long as the past is.
const HISTORY_WINDOW_US_MIN: u64 = 3_600_000_000;
/// Clocks of machines that are kept right are seconds apart.
const CLOCKS_APART_US_MAX: u64 = 3_600_000_000;
/// More than any server has; the pool makes room for as many when it is made.
const POOL_SIZE_MAX: u32 = 10_000;
/// How long closing waits for connections that a server does not let go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open store.
///
/// Everything acknowledged is committed, as durable as the server's `synchronous_commit` makes it. Dropping it lets go of the
/// connections when what was taken is written; [`close`](backend_api::Maintenance::close) waits for that.
pub struct Postgres {
    pub(crate) shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Postgres {
    /// Opens the store of a database, or creates it: brings the schema to this program's version, and begins to listen. Must
    /// be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`Reason::WrongStore`] for a database of a newer version; [`Reason::BadRequest`] for what is wrong with the options;
    /// [`Reason::ReadFailed`] if the database cannot be reached. None of them has the URL in it.
    pub async fn open(options: Options) -> Result<Arc<Self>> {
        let connect = connect_options(&options)?;
        let fail = |e| failed("connect", &e);
        let (attended, mut connection) = Attended::connect(&locking(&connect)).await.map_err(fail)?;
        let position =
            attended.during(async { Ok(prepare(&mut connection, &options).await) }).await.map_err(fail)??;
        let silence = Arc::new(Silence::default());
        let asking = Arc::clone(&silence);
        let pool = PgPoolOptions::new()
            .max_connections(options.pool_size.clamp(POOL_SIZE_MIN, POOL_SIZE_MAX) - 1 - options.writing())
            .acquire_timeout(CONNECT_TIMEOUT)
            // A connection that was lost is found by its first statement, without asking before each.
            .test_before_acquire(false)
            .before_acquire(move |connection, idle| {
                let asking = Arc::clone(&asking);
                Box::pin(async move { asking.check(connection, idle).await })
            })
            .after_connect(|connection, _| Box::pin(takes_writes(connection)))
            .connect_lazy_with(connect.clone());
        // Two long names may then have one channel: a notification only wakes.
        let mut channel = format!("tranquil_{}", options.schema);
        channel.truncate(IDENTIFIER_BYTES_MAX);
        let head = Head(watch::Sender::new(Watched { head: position.seq, closed: false }));
        let shared = Arc::new(Shared {
            pool,
            connect,
            options,
            queue: Queue::default(),
            head,
            counters: Counters::default(),
            silence,
            opened: position.opened,
            channel,
            stopped: Mutex::new(None),
            looked: Mutex::default(),
        });
        let writer = Mutex::new(Some(tokio::spawn(Writer::new(Arc::clone(&shared), connection).run())));
        let listener = Mutex::new(Some(tokio::spawn(crate::listen::listen(Arc::clone(&shared)))));
        Ok(Arc::new(Self { shared, writer, listener }))
    }

    /// Drops a store's schema with all that is in it: what measurements and tests leave.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_store(options: &Options) -> Result<()> {
        let mut connection = open_connection(&connect_options(options)?).await.map_err(|e| failed("connect", &e))?;
        // The name was checked.
        let sql = AssertSqlSafe(format!(r#"DROP SCHEMA IF EXISTS "{}" CASCADE"#, options.schema));
        sqlx::query(sql).execute(&mut connection).await.map(drop).map_err(|e| failed("drop the schema", &e))
    }

    async fn end(&self) -> Result<()> {
        self.shared.queue.close(closed());
        let taken = |task: &Mutex<Option<JoinHandle<()>>>| task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match taken(&self.writer) {
            Some(writer) => writer.await,
            None => Ok(()),
        };
        self.shared.head.0.send_modify(|watched| watched.closed = true);
        let closing = async {
            if let Some(listener) = taken(&self.listener) {
                let _ = listener.await;
            }
            self.shared.pool.close().await;
        };
        // All that was taken is written: connections that nobody answers on are left to themselves.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
        ended.map_err(|e| Error::new(Reason::Closed, format!("the writer ended by a panic: {e}")))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.shared.queue.close(closed());
        self.shared.head.0.send_modify(|watched| watched.closed = true);
    }
}

fn connect_options(options: &Options) -> Result<PgConnectOptions> {
    check_schema(&options.schema)?;
    check_scheme(&options.url)?;
    check_parameters(&options.url)?;
    if options.history_window_us < HISTORY_WINDOW_US_MIN {
        let detail = "history_window_us: less than an hour: what became of a lost commit would be forgotten too soon";
        return Err(Error::new(Reason::BadRequest, detail));
    }
    let url = options.url.parse::<PgConnectOptions>().map_err(|e| failed("read the URL", &e))?;
    // The server counts them as an `integer`, and takes zero for never.
    let is_bounded = !options.statement_timeout.is_zero();
    let timeout_ms = options.statement_timeout.as_millis().clamp(u128::from(is_bounded), i32::MAX as u128).to_string();
    let settings = [
        ("search_path", options.schema.as_str()),
        ("statement_timeout", &timeout_ms),
        // Who waits for a lock waits as long as a statement may take.
        ("lock_timeout", "0"),
        // What a statement reads after the lock was waited for is what is committed then.
        ("default_transaction_isolation", "read committed"),
    ];
    Ok(url.application_name("tranquil-store").options(settings).options(KEEPALIVES).options(PLANNING))
}

/// Refuses what is not a URL of a Postgres database: of one whose scheme was left out the library takes the user's name for
/// the scheme, and the password for the name of a database, which the server then repeats.
fn check_scheme(url: &str) -> Result<()> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let path = rest.map(|rest| rest.split(['?', '#']).next().unwrap_or_default());
    let database = path.and_then(|path| path.split_once('/')).map_or("", |(_, database)| database);
    if path.is_none() || database.contains(['@', ':']) {
        let detail = "database: the URL is not of the form postgres://user:password@host:port/database";
        return Err(Error::new(Reason::BadRequest, detail));
    }
    Ok(())
}

/// Refuses parameters that the library does not know: it would log them, and the value of a misspelt `password` is one.
fn check_parameters(url: &str) -> Result<()> {
    const KNOWN: &[&str] = &[
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    for parameter in parameters.split(['&', '#']).filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        let is_setting = name.starts_with("options[") || name.starts_with("options%5");
        if !is_setting && !KNOWN.contains(&name) {
            let detail = format!("database: the URL has a parameter that is not one of {}", KNOWN.join(", "));
            return Err(Error::new(Reason::BadRequest, detail));
        }
    }
    Ok(())
}

/// Brings a database to where a store can be opened over it. Done twice it is as done once.
async fn prepare(connection: &mut PgConnection, options: &Options) -> Result<Position> {
    check_encoding(connection).await?;
    check_settings(connection, options).await?;
    create_schema(connection, &options.schema).await?;
    migrate(connection, MIGRATIONS).await?;
    warn_if_not_durable(connection).await?;
    if let Some(slot) = &options.slot {
        let registered = crate::slots::register(connection, slot, options.clock.now(), None).await;
        registered.map_err(|e| e.into_error("register a slot of the change feed"))?;
    }
    Position::read(connection).await.map_err(|e| e.into_error("read the store's row"))
}

/// Refuses a database that cannot hold every text.
async fn check_encoding(connection: &mut PgConnection) -> Result<()> {
    use crate::types::Columns as _;
    let row = sqlx::query("SELECT current_setting('server_encoding')").fetch_one(connection).await;
    let row = row.map_err(|e| failed("read the database's encoding", &e))?;
    match row.text(0)? {
        "UTF8" => Ok(()),
        other => {
            let detail = format!(
                "database: its encoding is {other}, and not every name can be written in that; nothing was changed: \
                 create it with ENCODING 'UTF8' TEMPLATE template0"
            );
            Err(Error::new(Reason::BadRequest, detail))
        }
    }
}

/// Refuses a connection without the settings that it was asked for with: a pooler may drop them, and all schemas would be
/// one store.
async fn check_settings(connection: &mut PgConnection, options: &Options) -> Result<()> {
    use crate::types::Columns as _;
    let sql = include_str!("../../sql/settings.sql");
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(|e| failed("read the connection's settings", &e))?;
    if row.text(2)? == "on" {
        let detail = "database: it takes no writes now: a standby, or told so; nothing was changed";
        return Err(Error::new(Reason::ReadFailed, detail));
    }
    let first = row.text(0)?.split(',').next().unwrap_or_default().trim().trim_matches('"');
    if (first, row.text(1)?) == (options.schema.as_str(), "off") {
        return check_clock(&*options.clock, row.time(3)?);
    }
    let detail = "database: the connection does not have the settings that it was asked for with; nothing was changed: a \
                  pooler in between must not drop the parameter `options`";
    Err(Error::new(Reason::BadRequest, detail))
}

/// Refuses a clock that is far ahead of the server's. The store's time never goes back: what is written by such a clock sets
/// it for all processes, and what a sweep forgets by it they have lost. One that is behind does no harm.
fn check_clock(clock: &dyn Clock, servers: Micros) -> Result<()> {
    let apart_us = clock.now().0.abs_diff(servers.0);
    if !clock.is_of_the_world() || apart_us <= CLOCKS_APART_US_MAX {
        return Ok(());
    }
    let minutes = apart_us / 60_000_000;
    if clock.now() < servers {
        tracing::warn!(minutes, "this machine's clock is behind that of the database's server");
        return Ok(());
    }
    let detail = format!(
        "database: this machine's clock is {minutes} minutes ahead of the server's; nothing was changed: set the one that \
         is wrong, for the time of what is written is that of all processes, and does not go back"
    );
    Err(Error::new(Reason::ReadFailed, detail))
}

/// A server can be told to acknowledge what it has not written. That is the operator's decision; it is said once.
async fn warn_if_not_durable(connection: &mut PgConnection) -> Result<()> {
    use crate::types::Columns as _;
    let sql = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off'";
    let off = sqlx::query(sql).fetch_all(connection).await.map_err(|e| failed("read the server's settings", &e))?;
    for row in &off {
        tracing::warn!(setting = row.text(0)?, "the server has it off: a write may be acknowledged and then lost");
    }
    Ok(())
}

/// The bound of a page.
fn bound(limit: usize) -> Result<usize> {
    match limit {
        0 => Err(Error::new(Reason::BadRequest, "limit: 0 items were asked for")),
        n => Ok(n.min(PAGE_ITEMS_MAX)),
    }
}

/// A page of items of which one more than its bound was looked for.
fn page<T, C>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> C) -> Page<T, C> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(key);
    Page { items, next }
}

/// One more than the bound, as SQL counts.
fn one_more(limit: usize) -> i64 {
    limit as i64 + 1
}
