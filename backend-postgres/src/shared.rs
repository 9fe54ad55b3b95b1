//! What the tasks and calls of one open store share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use backend_api::{Error, Reason, Result, Seq};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection as _, PgPool};
use tokio::sync::watch;

use crate::error::{failed, is_transient};
use crate::options::Options;
use crate::sql::Query;
use crate::write::Queue;

/// How often a read is tried on another connection: a restarted server leaves as many dead ones as the pool has.
const READS_MAX: u32 = 12;

/// A process that stands still while it holds the lock of the store's row does not hold up the others for longer.
const LOCK_IDLE_MAX: &str = "5s";
/// The server finds out that a client's machine is gone: seconds until it asks, between questions, questions.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];

pub(crate) struct Shared {
    /// For reads that are short.
    pub pool: PgPool,
    /// For what takes longer, or locks: those have connections of their own.
    pub connect: PgConnectOptions,
    pub options: Options,
    pub queue: Queue,
    pub head: Head,
    pub counters: Counters,
    /// The write fence that the store was opened under.
    pub epoch: i64,
    /// Where processes over the same tables wake each other.
    pub channel: String,
    pub stopped: Mutex<Option<Error>>,
}

impl Shared {
    /// Refuses if the store was closed.
    pub fn is_open(&self) -> Result<()> {
        match self.head.0.borrow().closed {
            false => Ok(()),
            true => Err(closed()),
        }
    }

    /// Connects, to read for a long time.
    pub async fn connect_to_read(&self) -> sqlx::Result<PgConnection> {
        self.is_open().map_err(|_| sqlx::Error::PoolClosed)?;
        PgConnection::connect_with(&self.connect).await
    }

    /// Connects, to take the lock of the store's row.
    pub async fn connect_to_lock(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&locking(&self.connect)).await
    }

    /// Runs a reading statement. A read can be made again on another connection, and is.
    pub async fn rows<'q>(&self, what: &str, query: impl Fn() -> Query<'q> + Send) -> Result<Vec<PgRow>> {
        self.is_open()?;
        let mut tries = 0;
        loop {
            match query().fetch_all(&self.pool).await {
                Ok(rows) => return Ok(rows),
                Err(e) if is_transient(&e) && tries < READS_MAX => {
                    tries += 1;
                    self.is_open()?;
                    tokio::time::sleep(std::time::Duration::from_millis(1 << tries.min(8))).await;
                }
                Err(e) => return Err(failed(what, &e)),
            }
        }
    }

    /// The same, of a statement that gives one row at the most.
    pub async fn row<'q>(&self, what: &str, query: impl Fn() -> Query<'q> + Send) -> Result<Option<PgRow>> {
        Ok(self.rows(what, query).await?.pop())
    }

    /// Writing has ended for good.
    pub fn stop(&self, why: &Error) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.clone());
    }

    pub fn stopped(&self) -> Option<Error> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The options of a connection that takes the lock of the store's row.
pub(crate) fn locking(connect: &PgConnectOptions) -> PgConnectOptions {
    connect.clone().options([("idle_in_transaction_session_timeout", LOCK_IDLE_MAX)]).options(KEEPALIVES)
}

pub(crate) fn closed() -> Error {
    Error::new(Reason::Closed, "the store was closed")
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watched {
    pub head: Seq,
    pub closed: bool,
}

/// The newest event that this process knows of, for those who wait.
pub(crate) struct Head(pub watch::Sender<Watched>);

impl Head {
    /// The newest event that this process knows of.
    pub fn seq(&self) -> Seq {
        self.0.borrow().head
    }

    /// Wakes who waits for an event that is there now.
    pub fn reached(&self, seq: Seq) {
        self.0.send_if_modified(|watched| {
            let is_newer = seq > watched.head;
            watched.head = watched.head.max(seq);
            is_newer
        });
    }
}

/// Figures since the store was opened.
#[derive(Default)]
pub(crate) struct Counters {
    groups: AtomicU64,
    mutations: AtomicU64,
    group_us_max: AtomicU64,
    races: AtomicU64,
    retries: AtomicU64,
}

impl Counters {
    pub fn group(&self, mutations: u64, us: u64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.mutations.fetch_add(mutations, Ordering::Relaxed);
        self.group_us_max.fetch_max(us, Ordering::Relaxed);
    }

    pub fn race(&self) {
        self.races.fetch_add(1, Ordering::Relaxed);
    }

    pub fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// By name. A group is one cycle with one sync, as the server's commit is.
    pub fn list(&self) -> Vec<(String, u64)> {
        let groups = self.groups.load(Ordering::Relaxed);
        let named = [
            ("cycles", groups),
            ("syncs", groups),
            ("mutations", self.mutations.load(Ordering::Relaxed)),
            ("cycle_us_max", self.group_us_max.load(Ordering::Relaxed)),
            ("races", self.races.load(Ordering::Relaxed)),
            ("retries", self.retries.load(Ordering::Relaxed)),
        ];
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
