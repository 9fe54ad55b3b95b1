//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

const HOUR_US: u64 = 3_600_000_000;

/// What a store is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where the database is: `postgres://user:password@host:port/database?sslmode=...`. Never printed.
    pub url: String,
    /// Connections at the most. One writes, or two if there are more than three; one listens; the others read.
    pub pool_size: u32,
    /// The schema that the tables are in. It is created if it is not there.
    pub schema: String,
    /// After so long the server gives a statement up; zero for never. What reads a whole store may take longer.
    pub statement_timeout: Duration,
    /// For how long a write or a read is tried again while the database cannot be reached.
    pub retry_for: Duration,
    /// How long the past of a repo is kept, in microseconds; an hour at least.
    pub history_window_us: u64,
    /// How long an event is kept, in microseconds.
    pub event_retention_us: u64,
    /// A slot of the change feed that is there from the first opening on.
    pub slot: Option<String>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// The defaults, over a database.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 16,
            schema: "public".into(),
            statement_timeout: Duration::from_secs(60),
            retry_for: Duration::from_secs(30),
            history_window_us: 72 * HOUR_US,
            event_retention_us: 72 * HOUR_US,
            slot: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Connections that write.
    pub(crate) fn writing(&self) -> u32 {
        if self.pool_size > 3 { 2 } else { 1 }
    }
}

/// Without the URL: it has a password in it.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("pool_size", &self.pool_size)
            .field("schema", &self.schema)
            .field("statement_timeout", &self.statement_timeout)
            .field("history_window_us", &self.history_window_us)
            .field("event_retention_us", &self.event_retention_us)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
