//! The SQL engine, in a database of its own.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backend_api::{Backend, Maintenance as _, Micros};
use backend_postgres::{Clock, Options, Postgres};
use conformance::{Clock as _, Fixture, ManualClock};
use postgres_fixture::Database;

use crate::OPTIONS;

struct TestClock(Arc<ManualClock>);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        self.0.now()
    }
}

fn options(url: String, clock: &Arc<ManualClock>) -> Options {
    let mut options = Options::new(url);
    options.pool_size = 6;
    options.history_window_us = OPTIONS.history_window_micros;
    options.event_retention_us = OPTIONS.event_retention_micros;
    // Somebody who reads the change feed, from the first mutation on.
    options.slot = Some("differential".into());
    options.clock = Arc::new(TestClock(Arc::clone(clock)));
    options
}

/// A store of the SQL engine.
#[derive(Default)]
pub struct PostgresFixture {
    clock: Arc<ManualClock>,
    open: Mutex<Option<(Arc<Postgres>, Database)>>,
}

impl PostgresFixture {
    async fn open_store(&self, database: Database) -> Arc<dyn Backend> {
        let store = Postgres::open(options(database.url(), &self.clock)).await.expect("the store opens");
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&store), database));
        store
    }
}

#[async_trait]
impl Fixture for PostgresFixture {
    fn options(&self) -> conformance::Options {
        OPTIONS
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        let database = Database::from_template(async |url| {
            let store = Postgres::open(options(url, &Arc::default())).await.expect("a new store opens");
            store.close().await.expect("it closes");
        });
        self.open_store(database.await).await
    }

    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        drop(backend);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (store, database) = open.expect("it was opened");
        store.close().await.expect("the store closes");
        self.open_store(database).await
    }
}
