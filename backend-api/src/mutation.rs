//! The only way to write: a mutation, and the operations that it is made of.

use serde::{Deserialize, Serialize};

use crate::account::{AccountStatus, Email};
use crate::cid::Cid;
use crate::ids::{Did, Handle, RecordPath, Tid};
use crate::number::{IdempotencyKey, Micros, Pos, RepoId, Seq};
use crate::repo::{Block, Head, Link};
use crate::row::{Expect, Row, RowKey};

/// Operations that take effect together or not at all (promise P2).
///
/// They are planned in the order of the list, each on what those before it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// Whose data it changes: the routing key.
    pub did: Did,
    /// Names the mutation for retries. Receipts are kept for the history window at least.
    pub key: IdempotencyKey,
    /// The operations, at most [`MUTATION_OPS_MAX`](crate::limits::MUTATION_OPS_MAX).
    pub ops: Vec<Op>,
    /// The bytes of every block that may be new, and of every block that an event carries. Each CID once.
    pub blocks: Vec<Block>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Creates the account of the mutation's DID.
    CreateAccount(NewAccount),
    /// Changes some of its fields.
    UpdateAccount(AccountPatch),
    /// Changes its status. Emits nothing by itself.
    SetStatus(AccountStatus),
    /// Deletes the account, its rows, blobs and repo: invisible at once, swept after the history window.
    DeleteAccount,
    /// Commits to the repo, or creates it with its first commit.
    Commit(Box<RepoCommit>),
    /// Begins an import into a new generation; an unfinished earlier one is abandoned.
    BeginImport,
    /// Puts the mutation's supplied blocks into the import's generation, without references.
    ImportBlocks {
        /// The generation: [`Receipt::pos`](crate::Receipt::pos) of the mutation with `BeginImport`.
        import: RepoId,
    },
    /// Adds references to nodes and records that the import's tree walk reached.
    ImportTree(ImportTree),
    /// Makes the import's generation the repo, and queues the old one for its sweep. Blocks that the tree never reached are
    /// not refused, for files of repos have such: the next sweep forgets them.
    FinishImport(Box<FinishImport>),
    /// Gives the import up and queues its generation for its sweep.
    AbandonImport {
        /// The generation.
        import: RepoId,
    },
    /// Puts a blob's metadata; a blob that is there keeps its time.
    PutBlob {
        /// CID of the content.
        cid: Cid,
        /// MIME type.
        mime: Box<str>,
        /// Length in bytes.
        bytes: u64,
    },
    /// Deletes a blob's metadata, unless a record refers to it.
    DeleteBlob(Cid),
    /// Puts a row.
    PutRow {
        /// The row.
        row: Row,
        /// What must be there before.
        expect: Expect,
    },
    /// Deletes a row. With [`Expect::Any`] it need not be there.
    DeleteRow {
        /// Its name.
        key: RowKey,
        /// What must be there before.
        expect: Expect,
    },
    /// Takes a row away and returns it in the receipt. Of many takers one gets it, the others
    /// [`Reason::RowMissing`](crate::Reason).
    TakeRow(RowKey),
    /// Appends an event that is not a commit.
    Emit(Announce),
    /// Shortens the history window to nothing for what the account removed so far.
    Purge,
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its handle.
    pub handle: Option<Handle>,
    /// Its e-mail address.
    pub email: Option<Email>,
    /// The hash of its password.
    pub password_hash: Option<String>,
    /// Its first status: active, or deactivated for one that moves in.
    pub status: AccountStatus,
}

/// Changes to an account; a `None` keeps the field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountPatch {
    /// New handle, or none.
    pub handle: Option<Option<Handle>>,
    /// New address, or none. Unsets `email_confirmed_at` unless that is given too.
    pub email: Option<Option<Email>>,
    /// When the address was confirmed.
    pub email_confirmed_at: Option<Option<Micros>>,
    /// New password hash, or none.
    pub password_hash: Option<Option<String>>,
}

/// A commit to a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoCommit {
    /// The head that it was built on: compare-and-swap. `None` creates the repo.
    pub expected: Option<Head>,
    /// The new head. Its block must be supplied and say the DID, rev and data root of the mutation.
    pub head: Head,
    /// The new root of the tree: added, or a node that the old tree has too.
    pub data: Cid,
    /// Tree nodes and the commit block that are in the new state and not in the old: +1 each.
    pub added: Vec<Cid>,
    /// Tree nodes and the commit block that are in the old state and not in the new: -1 each.
    pub removed: Vec<Cid>,
    /// The record operations, each path once.
    pub records: Vec<RecordOp>,
    /// The blocks of the `#commit` event after the commit block, all supplied: the added nodes, the new records, and the
    /// nodes beside them that a consumer needs to take the operations back. `None` announces nothing.
    pub announce: Option<Vec<Cid>>,
}

/// What a commit does to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordOp {
    /// Where.
    pub path: RecordPath,
    /// The CID that must be there before; `None`: nothing.
    pub old: Option<Cid>,
    /// The CID that is there after; `None`: nothing.
    pub new: Option<Cid>,
    /// Blobs that the new record refers to, each once.
    pub blobs: Vec<Cid>,
    /// Links that the new record makes, each once.
    pub links: Vec<Link>,
}

/// A step of an import's tree walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportTree {
    /// The generation.
    pub import: RepoId,
    /// Nodes reached: +1 each.
    pub nodes: Vec<Cid>,
    /// Records reached: +1 each for `new`; `old` must be `None`.
    pub records: Vec<RecordOp>,
}

/// The end of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishImport {
    /// The generation.
    pub import: RepoId,
    /// The head that the repo has now; `None`: there is none yet.
    pub expected: Option<Head>,
    /// The imported head, or a new one signed over the imported tree. Its block must be supplied.
    pub head: Head,
    /// Root of the tree.
    pub data: Cid,
    /// Records that the walk reached. Blobs that only records of the old generation refer to stay, as unused ones.
    pub records: u64,
}

/// An event that is not a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announce {
    /// `#identity`.
    Identity {
        /// The handle to tell.
        handle: Option<Handle>,
    },
    /// `#account`, with the status that the account has after the operations before it; deleted when it is gone.
    Account,
    /// `#sync`, with the head that the repo has; the commit block must be supplied.
    Sync,
}

/// The numbers that the store gives a mutation. They are recorded with it, so that whoever applies it again (replay,
/// replica, migration) gets the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its position.
    pub pos: Pos,
    /// Its time.
    pub at: Micros,
    /// The number of its first event, if it has one.
    pub first_seq: Seq,
}

/// An accepted mutation with its numbers: what the log holds and the change feed gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The numbers.
    pub stamp: Stamp,
    /// The mutation.
    pub mutation: Mutation,
}

/// How the record at a path changed, as `#commit` frames name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It was not there.
    Create,
    /// It was another one.
    Update,
    /// It is gone.
    Delete,
}

impl RecordOp {
    /// The action, by what was and is there. Neither is [`Action::Delete`]; requests of that form are refused.
    #[must_use]
    pub const fn action(&self) -> Action {
        match (self.old, self.new) {
            (None, Some(_)) => Action::Create,
            (Some(_), Some(_)) => Action::Update,
            (_, None) => Action::Delete,
        }
    }
}

/// An event with all that its frame needs, but the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `#commit`.
    Commit(CommitEvent),
    /// `#sync`.
    Sync {
        /// The commit block's CID.
        commit: Cid,
        /// Its rev.
        rev: Tid,
    },
    /// `#identity`.
    Identity {
        /// The handle to tell.
        handle: Option<Handle>,
    },
    /// `#account`.
    Account {
        /// The status.
        status: AccountStatus,
    },
}

/// A `#commit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitEvent {
    /// The commit.
    pub head: Head,
    /// Rev of the commit before.
    pub since: Option<Tid>,
    /// Root of the tree before.
    pub prev_data: Option<Cid>,
    /// Index in the mutation's operations of the commit that it announces.
    pub op: usize,
}
