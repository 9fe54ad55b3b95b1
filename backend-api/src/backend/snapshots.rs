//! Everything, at one position.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::account::Account;
use crate::cid::Cid;
use crate::effect::{ReceiptRow, Sweep};
use crate::error::Result;
use crate::ids::{Did, RecordPath, Tid};
use crate::number::{AccountId, IdempotencyKey, Micros, Pos, RepoId};
use crate::repo::{Blob, CommitRow, RecordRow, Repo};
use crate::row::Row;

use super::firehose::EventFrame;

/// One thing that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotItem {
    /// An account.
    Account(Account),
    /// A generation of a repo, also one that is being imported or waits for its sweep.
    Repo(Repo),
    /// A block.
    Block {
        /// The generation.
        repo: RepoId,
        /// Its CID.
        cid: Cid,
        /// References to it.
        refs: u64,
        /// The last mutation that took a reference away; 0 if none did.
        released: Pos,
        /// Its bytes, checked.
        bytes: Bytes,
    },
    /// A record.
    Record(RepoId, RecordPath, RecordRow),
    /// A commit of the history.
    Commit(RepoId, Tid, CommitRow),
    /// A blob.
    Blob(AccountId, Blob),
    /// A row, also an expired one that is not swept yet.
    Row(Row),
    /// A receipt.
    Receipt(Did, IdempotencyKey, ReceiptRow),
    /// A sweep that is due, with the time from which its window counts.
    Sweep(Sweep, Micros),
    /// An event.
    Event(EventFrame),
}

/// A consistent stream of everything.
pub struct Snapshot {
    /// The mutation after which it was taken.
    pub pos: Pos,
    /// The items: by sort as listed in [`SnapshotItem`], then by key, the fields of a key in the order in which the item
    /// has them. Ends after the first error.
    pub items: BoxStream<'static, Result<SnapshotItem>>,
}

/// Snapshots.
#[async_trait]
pub trait Snapshots {
    /// Everything at the current position. Writes go on meanwhile, and are not in it.
    ///
    /// - **S1** It holds exactly the state after its position, whatever is written while it is read
    ///   (`snapshot_is_consistent`).
    /// - **S2** Two backends with the same history give the same items in the same order (`snapshot_equals_the_models`).
    async fn snapshot(&self) -> Result<Snapshot>;
}
