//! What an accepted mutation does to the stored state, as plain facts.

use crate::account::{Account, Email};
use crate::cid::Cid;
use crate::ids::{Did, Handle, RecordPath, Tid};
use crate::mutation::Event;
use crate::number::{AccountId, IdempotencyKey, Micros, Pos, RepoId};
use crate::repo::{Blob, CommitRow, Link, Receipt, RecordRow, Repo};
use crate::row::{Row, RowKey, RowKind};

/// One change of state. `None` deletes. Index facts stand beside the facts that they index, so that an engine over an
/// ordered map needs no knowledge of its own; an engine with real indexes ignores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The account of a DID.
    Account(Did, Option<Account>),
    /// Index: who has a handle.
    Handle(Handle, Option<Did>),
    /// Index: who has an address.
    Email(Email, Option<Did>),
    /// A generation of a repo.
    Repo(RepoId, Option<Repo>),
    /// A change of the references to a block. With `supplied`, the block is there from now on if it was not.
    Block {
        /// The generation.
        repo: RepoId,
        /// The block.
        cid: Cid,
        /// Added to the count; the count never goes below zero.
        delta: i64,
        /// The index in the mutation's blocks of its bytes.
        supplied: Option<usize>,
        /// True if references were taken away, so that the block is queued for release when none is left.
        released: bool,
    },
    /// A record.
    Record(RepoId, RecordPath, Option<RecordRow>),
    /// A commit to remember.
    Commit(RepoId, Tid, CommitRow),
    /// A blob.
    Blob(AccountId, Cid, Option<Blob>),
    /// Index: a record refers to a blob.
    BlobUse(RepoId, Cid, RecordPath, bool),
    /// Index: a record makes a link.
    Link(RepoId, Link, RecordPath, bool),
    /// A row.
    Row(RowKey, Option<Row>),
    /// Index: the row with a unique value.
    RowUnique {
        /// The kind.
        kind: RowKind,
        /// The place in [`Row::unique`].
        index: u8,
        /// The value.
        value: Vec<u8>,
        /// The row's key.
        key: Option<Vec<u8>>,
    },
    /// Index: a row with a look-up value.
    RowLookup {
        /// The place in [`Row::lookup`].
        index: u8,
        /// The value.
        value: Vec<u8>,
        /// The row.
        key: RowKey,
        /// Put or deleted.
        there: bool,
    },
    /// Index: a row of an owner.
    RowOwner(Did, RowKey, bool),
    /// Index: a row that expires.
    RowExpiry(Micros, RowKey, bool),
    /// The receipt under an idempotency key.
    Receipt(Did, IdempotencyKey, ReceiptRow),
    /// A generation or an account's blobs to sweep once the time has come.
    Sweep(Sweep, Micros),
}

/// What is swept in the background after it became invisible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sweep {
    /// All of one generation of a repo.
    Repo(RepoId),
    /// All blobs of one incarnation of an account.
    Blobs(AccountId),
    /// Without waiting for the window: the blocks of a repo without references whose last one went up to a position, and
    /// the commits that were replaced up to it.
    Purge(RepoId, Pos),
}

/// A receipt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReceiptRow {
    /// Tells a retry from another mutation under the same key.
    pub digest: u64,
    /// What the first call was answered.
    pub receipt: Receipt,
}

/// All that an accepted mutation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// Changes of state, to be carried out in order: a unique value may be given up by one row and taken by another.
    pub changes: Vec<Effect>,
    /// Events, numbered from the stamp's `first_seq`.
    pub events: Vec<Event>,
    /// The answer to the caller.
    pub receipt: Receipt,
}
