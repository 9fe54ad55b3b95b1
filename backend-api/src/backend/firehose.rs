//! Reading the firehose.

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::number::{Micros, Seq};

/// An event as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFrame {
    /// Its number.
    pub seq: Seq,
    /// When it was appended.
    pub at: Micros,
    /// The frame: header and body, deterministic DAG-CBOR (Sync 1.1).
    pub frame: Bytes,
}

/// What the firehose holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventWindow {
    /// The oldest event that is kept; one above `head` if none is.
    pub oldest: Seq,
    /// The newest event; 0 if there never was one.
    pub head: Seq,
}

/// The firehose.
#[async_trait]
pub trait Firehose {
    /// What is kept.
    ///
    /// - **F1** Numbers start at 1, without gaps, also over a reopen and after refused mutations
    ///   (`firehose_numbers_are_contiguous`).
    async fn event_window(&self) -> Result<EventWindow>;

    /// Events after a number, in order: at most `limit`, and no more than fit `bytes_max`, but at least one if there is
    /// one.
    ///
    /// - **F2** Each event of a mutation is there when it is acknowledged, in the order of the operations
    ///   (`firehose_shows_acknowledged_events`).
    /// - **F3** A frame never changes: the same bytes at every read, and after a reopen (`firehose_frames_never_change`).
    /// - **F4** A cursor at the head gives nothing, one beyond it is `FutureCursor` (`firehose_cursor_at_the_head`).
    /// - **F5** A cursor before the oldest kept event is `CursorGone` (`firehose_cursor_before_the_window`).
    /// - **F6** A `#commit` frame says what the commit did, with all blocks to check and invert it
    ///   (`firehose_commit_frame_is_complete`).
    /// - **F7** Both limits hold, the bytes being those of the frames (`firehose_limits_hold`).
    /// - **F9** `#sync`, `#account` and `#identity` frames say what was announced (`firehose_sync_frame_carries_the_commit`,
    ///   `firehose_account_frames_tell_every_status`, `firehose_identity_frames`).
    async fn events(&self, after: Seq, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>>;

    /// Waits until there is an event after a number; returns the newest number. Ends with `Closed` when the store does.
    ///
    /// - **F8** It wakes for the next event, and at once if there is one (`firehose_wait_wakes`).
    async fn wait_events(&self, after: Seq) -> Result<Seq>;
}
