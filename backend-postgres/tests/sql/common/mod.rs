//! A store in a database of its own, for all tests.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend_api::{Backend, Maintenance as _, Micros};
use backend_postgres::{Clock, Options, Postgres};
use conformance::{Clock as _, Fixture, ManualClock};
use postgres_fixture::Database;
use sqlx::{PgConnection, Row as _};

pub const OPTIONS: conformance::Options =
    conformance::Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

/// The slot that every store of the suite has.
const SLOT: &str = "conformance";

pub struct TestClock(pub Arc<ManualClock>);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        self.0.now()
    }
}

/// The options of the suite, over a database.
pub fn options(url: String, clock: &Arc<ManualClock>) -> Options {
    let mut options = Options::new(url);
    options.pool_size = 6;
    options.history_window_us = OPTIONS.history_window_micros;
    options.event_retention_us = OPTIONS.event_retention_micros;
    options.slot = Some(SLOT.into());
    options.clock = Arc::new(TestClock(Arc::clone(clock)));
    options
}

/// Tables that have few rows, however much is stored.
pub const SHORT: &[&str] = &["migrations", "slots"];

/// The tables of the store, as the database has them.
pub async fn tables(connection: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A database with the newest schema, and nothing in it.
pub async fn database() -> Database {
    Database::from_template(async |url| {
        let store = Postgres::open(options(url, &Arc::default())).await.expect("a new store opens");
        store.close().await.expect("it closes");
    })
    .await
}

pub struct PostgresFixture {
    clock: Arc<ManualClock>,
    open: Mutex<Option<(Arc<Postgres>, Arc<Database>)>>,
}

impl PostgresFixture {
    pub fn new() -> Self {
        Self { clock: Arc::default(), open: Mutex::new(None) }
    }

    async fn open_store(&self, database: Arc<Database>) -> Arc<dyn Backend> {
        let store = Postgres::open(options(database.url(), &self.clock)).await.expect("the store opens");
        *self.open.lock().unwrap() = Some((store.clone(), database));
        store
    }
}

#[async_trait]
impl Fixture for PostgresFixture {
    fn is_available(&self) -> bool {
        postgres_fixture::available()
    }

    fn options(&self) -> conformance::Options {
        OPTIONS
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        self.open_store(Arc::new(database().await)).await
    }

    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        drop(backend);
        let (store, database) = self.open.lock().unwrap().take().expect("it was opened");
        store.close().await.expect("the store closes");
        self.open_store(database).await
    }
}
