//! The change feed.

use async_trait::async_trait;

use crate::error::Result;
use crate::mutation::Change;
use crate::number::Pos;

/// The mutations themselves, in order: what migration, replication and point-in-time recovery read.
#[async_trait]
pub trait Changes {
    /// The position of the newest mutation; 0 if there is none.
    async fn position(&self) -> Result<Pos>;

    /// Mutations after a position, in order: at most `limit`, and no more than fit `bytes_max`, but at least one if
    /// there is one.
    ///
    /// - **C1** Every accepted mutation once, in order, as it was given, with its numbers (`changes_are_the_mutations`).
    /// - **C2** Applied to an empty model with the same numbers, they give the same state and the same frames
    ///   (`changes_replay_to_the_same_state`), also where receipts were forgotten in between; sweeps may be made at any time
    ///   (`changes_replay_keys_used_again`, `changes_replay_and_sweeps_commute`).
    /// - **C3** Both limits hold, and parts make the whole (`changes_are_read_in_parts`).
    ///
    /// # Errors
    /// [`Reason::CursorGone`](crate::Reason) if `after` is older than what is kept.
    async fn changes(&self, after: Pos, limit: usize, bytes_max: usize) -> Result<Vec<Change>>;
}
