//! Idle connections of which nobody knows whether they still lead anywhere: a machine that is gone, or a firewall that
//! forgets what is idle, says nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::PgConnection;

use crate::clock::Stopwatch;
use crate::shared::silent;

/// A connection that was used so recently is used again without a question.
const TRUSTED_FOR: Duration = Duration::from_secs(10);
/// How long the answer to one may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(4);

/// When a connection was last found dead. What has been idle since before then is dead as well, or is no loss.
#[derive(Default)]
pub(crate) struct Silence(Mutex<Option<Stopwatch>>);

impl Silence {
    /// Notes that a connection was found dead.
    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
    }

    fn is_suspect(&self, idle_for: Duration) -> bool {
        let noted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.is_some_and(|noted| idle_for >= noted.elapsed())
    }

    /// False if an idle connection is not to be used.
    pub async fn check(&self, connection: &mut PgConnection, idle: PoolConnectionMetadata) -> sqlx::Result<bool> {
        if self.is_suspect(idle.idle_for) {
            return Ok(false);
        }
        if idle.idle_for < TRUSTED_FOR {
            return Ok(true);
        }
        let answered = tokio::time::timeout(ASK_TIMEOUT, connection.ping()).await;
        if answered.is_err() {
            self.note();
        }
        answered.unwrap_or_else(|_| Err(silent())).map(|()| true)
    }
}
