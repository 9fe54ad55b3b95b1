//! What the tasks and calls of one open store share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend_api::{Error, Reason, Result, Seq};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Row as _};
use tokio::sync::watch;

use crate::attend::Attended;
use crate::clock::Stopwatch;
use crate::error::{is_silence, is_transient};
use crate::options::Options;
use crate::silence::Silence;
use crate::sql::Query;
use crate::sweep::Looked;
use crate::types::Columns as _;
use crate::write::{Failed, Opened, Queue};

/// Between attempts. A restarted server leaves as many dead connections as the pool has.
const DELAY_MIN: Duration = Duration::from_millis(1);
const DELAY_MAX: Duration = Duration::from_millis(32);
/// A server that takes a connection says so at once, or is as good as gone.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A read is made again so often because a server was behind.
const BEHIND_MAX: u32 = 16;

/// A process that stands still while it holds the lock of the store's row does not hold up the others for longer.
const LOCK_IDLE_MS_MAX: usize = 5_000;
/// What uploads a group of many bytes is not standing still: so many more of them may take a millisecond.
const LOCK_IDLE_BYTES_PER_MS: usize = 50;
/// Below this a group takes no time to upload.
const LOCK_IDLE_BYTES_MIN: usize = 64 * 1024;
/// A group is sent as blocks, as frames, and to a slot of the change feed.
const TIMES_SENT: usize = 3;
/// The server finds out that a client's machine is gone, and what stands in between hears of idle connections: seconds until
/// it asks, between questions, questions.
pub(crate) const KEEPALIVES: [(&str, &str); 3] =
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
    pub silence: Arc<Silence>,
    /// The store that was opened, and its write fence.
    pub opened: Opened,
    /// Where processes over the same tables wake each other.
    pub channel: String,
    pub stopped: Mutex<Option<Error>>,
    /// Kept from sweep to sweep; who opens the store anew looks at one mutation again.
    pub looked: Mutex<Looked>,
}

impl Shared {
    /// Refuses if the store was closed.
    pub fn is_open(&self) -> Result<()> {
        match self.head.0.borrow().closed {
            false => Ok(()),
            true => Err(closed()),
        }
    }

    /// Connects, to read for a long time: who takes what is read may take longer than a statement may.
    pub async fn connect_to_read(&self) -> sqlx::Result<(Attended, PgConnection)> {
        self.is_open().map_err(|_| sqlx::Error::PoolClosed)?;
        let no_timeout = [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];
        let options = self.connect.clone().options(no_timeout);
        let (attended, mut connection) = Attended::connect(&options).await?;
        attended.during(takes_writes(&mut connection)).await?;
        Ok((attended, connection))
    }

    /// Connects, to take the lock of the store's row.
    pub async fn connect_to_lock(&self) -> sqlx::Result<PgConnection> {
        connect(&locking(&self.connect)).await
    }

    /// Waits for so many statements. The server ends what takes too long; if it does not even do that it cannot be heard.
    pub async fn in_time<T>(&self, statements: u32, work: impl Future<Output = T>) -> sqlx::Result<T> {
        self.in_time_with(Duration::ZERO, statements, work).await
    }

    /// The same, of statements with so much to upload: the server does not count that.
    pub async fn in_time_with<T>(
        &self,
        upload: Duration,
        statements: u32,
        work: impl Future<Output = T>,
    ) -> sqlx::Result<T> {
        // One more, for the server to say that it gave the last one up.
        let time = self.options.statement_timeout.saturating_mul(statements.saturating_add(1));
        if time.is_zero() {
            return Ok(work.await);
        }
        tokio::time::timeout(time.saturating_add(upload), work).await.map_err(|_| silent())
    }

    /// Does what may be done twice: again and again, while what keeps it from being done may pass.
    pub async fn again<T, F>(&self, what: &str, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        self.is_open()?;
        let (watch, mut delay) = (Stopwatch::start(), DELAY_MIN);
        let mut was_silent = false;
        loop {
            match attempt().await {
                // A connection that was dead took longer to be given up than anything is tried for: another is tried all the
                // same.
                Err(Failed::Database(e))
                    if is_transient(&e)
                        && (watch.elapsed() < self.options.retry_for || is_silence(&e) && !was_silent) =>
                {
                    was_silent |= is_silence(&e);
                    tokio::time::sleep(delay).await;
                    self.is_open()?;
                    delay = (delay * 2).min(DELAY_MAX);
                }
                done => return done.map_err(|e| e.into_error(what)),
            }
        }
    }

    /// Runs a reading statement. A read can be made again on another connection, and is.
    pub async fn rows<'q>(&self, what: &str, query: impl Fn() -> Query<'q> + Send + Sync) -> Result<Vec<PgRow>> {
        self.again(what, || self.read(query(), |_| Ok(false))).await
    }

    /// The same, of a statement that says in a column where the store stands. A server that is behind what this process
    /// knows is not the one that takes the writes: its connection goes, and another is asked.
    pub async fn rows_of_now<'q>(
        &self,
        what: &str,
        seq: usize,
        query: impl Fn() -> Query<'q> + Send + Sync,
    ) -> Result<Vec<PgRow>> {
        let (known, behind) = (self.head.seq(), AtomicU32::new(0));
        let is_behind = |rows: &[PgRow]| {
            let Some(row) = rows.first() else { return Ok(false) };
            // Of a store that has gone back for good nothing else will ever be read.
            Ok(row.seq(seq)? < known && behind.fetch_add(1, Ordering::Relaxed) < BEHIND_MAX)
        };
        self.again(what, || self.read(query(), is_behind)).await
    }

    async fn read(&self, query: Query<'_>, is_behind: impl Fn(&[PgRow]) -> Result<bool>) -> Result<Vec<PgRow>, Failed> {
        let mut connection = self.pool.acquire().await?;
        match self.in_time(1, query.fetch_all(&mut *connection)).await {
            Ok(rows) => {
                let rows = rows?;
                if is_behind(&rows)? {
                    drop(connection.detach());
                    return Err(unusable("the server is behind what it acknowledged").into());
                }
                Ok(rows)
            }
            Err(silent) => {
                self.silence.note();
                // The pool would ask it whether it still lives, and wait for the answer.
                drop(connection.detach());
                Err(silent.into())
            }
        }
    }

    /// The same, of a statement that gives one row at the most.
    pub async fn row<'q>(&self, what: &str, query: impl Fn() -> Query<'q> + Send + Sync) -> Result<Option<PgRow>> {
        Ok(self.rows(what, query).await?.pop())
    }

    /// Writing has ended for good.
    pub fn stop(&self, why: &Error) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.clone());
    }

    pub fn looked(&self) -> Looked {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_looked(&self, looked: Looked) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = looked;
    }

    pub fn stopped(&self) -> Option<Error> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The options of a connection that takes the lock of the store's row.
pub(crate) fn locking(connect: &PgConnectOptions) -> PgConnectOptions {
    let idle = LOCK_IDLE_MS_MAX.to_string();
    connect.clone().options([("idle_in_transaction_session_timeout", idle)])
}

/// What so many bytes of mutations take on a slow link.
pub(crate) fn upload_time(bytes: usize) -> Duration {
    let ms = if bytes < LOCK_IDLE_BYTES_MIN { 0 } else { TIMES_SENT * bytes / LOCK_IDLE_BYTES_PER_MS };
    Duration::from_millis(ms as u64)
}

/// Gives a transaction the time that so many bytes take on a slow link: the server counts it as idle while it reads them.
pub(crate) async fn allow_upload(connection: &mut PgConnection, bytes: usize) -> sqlx::Result<()> {
    if upload_time(bytes).is_zero() {
        return Ok(());
    }
    let sql = format!("SET LOCAL idle_in_transaction_session_timeout = {}", idle_ms(bytes));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// For how long a transaction with so many bytes may stand still.
pub(crate) fn idle_ms(bytes: usize) -> u128 {
    LOCK_IDLE_MS_MAX as u128 + upload_time(bytes).as_millis()
}

/// Connects, or gives it up.
pub(crate) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let connecting = PgConnection::connect_with(options);
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(silent()))
}

/// Lifts the time that a transaction may take for the one that has begun. Servers before 17 know of none, so it cannot be a
/// setting of the connection.
pub(crate) async fn take_as_long_as_it_takes(connection: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";
    sqlx::query(sql).execute(connection).await.map(drop)
}

/// Refuses a server that takes no writes, such as one that was demoted while the name still leads to it: what it shows may be
/// of before what was acknowledged.
pub(crate) async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<()> {
    let row = sqlx::query("SELECT current_setting('transaction_read_only')").fetch_one(connection).await?;
    match row.try_get(0)? {
        "on" => Err(unusable("the server takes no writes now: a standby, or told so")),
        _ => Ok(()),
    }
}

/// It counts as a connection that was lost.
pub(crate) fn silent() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer").into()
}

/// So does this.
fn unusable(why: &'static str) -> sqlx::Error {
    std::io::Error::other(why).into()
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
    pipelined: AtomicU64,
    retries: AtomicU64,
}

impl Counters {
    pub fn group(&self, mutations: u64, us: u64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.mutations.fetch_add(mutations, Ordering::Relaxed);
        self.group_us_max.fetch_max(us, Ordering::Relaxed);
    }

    /// A group was written before the one that it follows was committed.
    pub fn pipelined(&self) {
        self.pipelined.fetch_add(1, Ordering::Relaxed);
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
            ("cycles_pipelined", self.pipelined.load(Ordering::Relaxed)),
            ("races", self.races.load(Ordering::Relaxed)),
            ("retries", self.retries.load(Ordering::Relaxed)),
        ];
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
