//! The statements of a group that was planned. They hold all they need: the next group is planned while they are carried out.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::oneshot;

use super::group::{Broken, maybe};
use crate::shared::{allow_upload, idle_ms};
use crate::sql::Query;

/// Who locks rows of the group, or the row of the store, is somebody who writes, or sweeps: it is not this group's turn then.
const LOCK_MS_MAX: u32 = 200;
/// What the group before takes. Somebody may wait for a row of this group whom that one waits for; the server, which finds
/// such circles, does not know that this one waits for that one.
pub(super) const TURN_WAIT: std::time::Duration = std::time::Duration::from_millis(500);

/// Whether another group is under way while this one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// None is. Its turn comes first: if it is somebody else's, nothing else is done.
    Alone,
    /// One is, of other accounts. All is written before that one's end, and this one's turn is taken after it.
    Beside,
}

/// What a group writes.
pub(super) struct Script {
    /// What nearly every mutation changes.
    pub group: Query<'static>,
    /// Tables that not every commit touches.
    pub others: Vec<Query<'static>>,
    /// Makes it the group's turn, where that is not part of the first statement.
    pub turn: Option<Query<'static>>,
}

impl Script {
    /// Carries it out in a transaction that has begun. False if it was somebody else's turn: nothing was changed.
    pub async fn within(self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        if self.group.fetch_optional(&mut *connection).await?.is_none() {
            return Ok(false);
        }
        for other in self.others {
            other.execute(&mut *connection).await?;
        }
        Ok(true)
    }

    /// Carries it out, and commits. False if it was somebody else's turn.
    pub async fn alone(self, connection: &mut PgConnection, bytes: usize) -> Result<bool, Broken> {
        if self.others.is_empty() {
            // A statement by itself is its own transaction.
            return self.within(connection).await.map_err(maybe);
        }
        let mut transaction = connection.begin().await?;
        allow_upload(&mut transaction, bytes).await?;
        if !self.within(&mut transaction).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await.map_err(maybe)?;
        Ok(true)
    }

    /// Carries it out, waits for the end of the group before, and commits. False if that one was not committed, or it was
    /// somebody else's turn.
    pub async fn beside(
        mut self,
        connection: &mut PgConnection,
        bytes: usize,
        before: oneshot::Receiver<()>,
    ) -> Result<bool, Broken> {
        let turn = self.turn.take();
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = {LOCK_MS_MAX}; SET LOCAL idle_in_transaction_session_timeout = {}",
            idle_ms(bytes)
        );
        let mut transaction = connection.begin_with(AssertSqlSafe(begin)).await?;
        let is_written = self.within(&mut transaction).await?;
        let is_turn = is_written && matches!(tokio::time::timeout(TURN_WAIT, before).await, Ok(Ok(())));
        let is_taken = match turn {
            Some(turn) if is_turn => turn.fetch_optional(&mut *transaction).await?.is_some(),
            _ => false,
        };
        if !is_taken {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await.map_err(maybe)?;
        Ok(true)
    }
}
