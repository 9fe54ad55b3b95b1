//! Work that may take as long as it takes: a migration, a check, a copy that is read slowly.
//!
//! No timeout fits it. So the server is asked meanwhile, on another connection, whether it still works for this one. Over
//! TCP it finds out by keepalives that it cannot reach a client any more, and ends what worked for it.
//!
//! Through a pooler that lends a connection for one transaction, the process that is asked about may by then work for
//! somebody else: then a dead one is taken for a living one, and the wait ends with the connection alone.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::shared::{CONNECT_TIMEOUT, connect, silent};
use crate::types::Columns as _;

/// How long nothing is asked.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How soon it is asked again after it gave no good answer, and how many of those in a row are believed: a server that is
/// full, or a name that leads elsewhere for a moment, ends nothing that goes on.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);
const FAILURES_MAX: u32 = 3;

/// The server's side of a connection.
pub(crate) struct Attended {
    options: PgConnectOptions,
    pid: i64,
}

impl Attended {
    /// Connects.
    pub async fn connect(options: &PgConnectOptions) -> sqlx::Result<(Self, PgConnection)> {
        let mut connection = connect(options).await?;
        let asked = sqlx::query_scalar("SELECT pg_backend_pid()::bigint").fetch_one(&mut connection);
        let pid = tokio::time::timeout(CONNECT_TIMEOUT, asked).await.unwrap_or_else(|_| Err(silent()))?;
        Ok((Self { options: options.clone(), pid }, connection))
    }

    /// Waits for work on the connection, for as long as the server is at it.
    pub async fn during<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let mut work = std::pin::pin!(work);
        let (mut pause, mut failures) = (ASK_EVERY, 0);
        while failures < FAILURES_MAX {
            if let Ok(done) = tokio::time::timeout(pause, &mut work).await {
                return done;
            }
            (pause, failures) = match self.goes_on().await {
                true => (ASK_EVERY, 0),
                false => (ASK_AGAIN_AFTER, failures + 1),
            };
        }
        // What was done while that was asked counts.
        tokio::time::timeout(Duration::ZERO, work).await.unwrap_or_else(|_| Err(silent()))
    }

    /// Asks. A server that refuses to answer is there.
    async fn goes_on(&self) -> bool {
        let asked = async {
            let mut connection = connect(&self.options).await?;
            let sql = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE pid = $1";
            sqlx::query(sql).bind(self.pid).fetch_one(&mut connection).await
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, asked).await {
            Ok(Ok(row)) => row.number(0).is_ok_and(|count| count > 0),
            Ok(Err(sqlx::Error::Database(_))) => true,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
