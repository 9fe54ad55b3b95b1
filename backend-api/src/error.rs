//! Errors that say what the caller must do next.

use std::fmt;

/// The result of every call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller must do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong and will be wrong again: fix it.
    Invalid,
    /// What the request named is not there.
    Missing,
    /// The state is not what the request expected: read again, then decide.
    Conflict,
    /// A limit of the protocol or of this store is exceeded: send less.
    Limit,
    /// The position asked for is no longer kept: start from the oldest.
    Gone,
    /// Temporarily not possible, nothing was written: wait, then retry the same request.
    Busy,
    /// The write may or may not have happened: retry with the same idempotency key once the store is open again.
    OutcomeUnknown,
    /// The store has stopped accepting writes: call the operator. Nothing was written.
    Stopped,
    /// Stored bytes are damaged. They were not served. Call the operator.
    Corrupt,
}

/// Whether a failed write can have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It did not, and will not.
    No,
    /// It may have; the same idempotency key will tell.
    Unknown,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $kind:ident,)*) => {
        /// Why, as a stable code. Both backends answer the same request with the same reason (promise P8).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tests that must cover them all.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// What the caller must do about it.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Reason::$name => Kind::$kind,)* }
            }
        }
    };
}

reasons! {
    /// Not a CID of a supported form.
    BadCid => Invalid,
    /// Not a DID.
    BadDid => Invalid,
    /// Not a handle.
    BadHandle => Invalid,
    /// Not an NSID.
    BadNsid => Invalid,
    /// Not a record key.
    BadRecordKey => Invalid,
    /// Not a TID.
    BadTid => Invalid,
    /// A sequence number outside 1 ..= 2^53 - 1.
    BadSeq => Invalid,
    /// A field of the request is malformed; the detail names it.
    BadRequest => Invalid,
    /// Supplied bytes do not hash to the CID they came with.
    HashMismatch => Invalid,
    /// A block that the request refers to is neither supplied nor live in the repo.
    BlockMissing => Invalid,
    /// The commit block does not say what the mutation says (DID, rev, data root).
    CommitMismatch => Invalid,
    /// A tree is not a canonical, complete Merkle search tree.
    BadTree => Invalid,
    /// Not a CAR v1 file, or a damaged one; the detail has the byte offset.
    BadCar => Invalid,
    /// The idempotency key was used before for a different mutation.
    KeyReused => Invalid,
    /// No account with that DID.
    AccountMissing => Missing,
    /// The account has no repo, or not the named import.
    RepoMissing => Missing,
    /// No row with that key.
    RowMissing => Missing,
    /// No such blob.
    BlobMissing => Missing,
    /// The DID has an account already.
    AccountExists => Conflict,
    /// Another account has the handle.
    HandleTaken => Conflict,
    /// Another account has the e-mail address.
    EmailTaken => Conflict,
    /// The repo's head is not the expected one.
    HeadMismatch => Conflict,
    /// A record's current CID is not the expected one.
    RecordMismatch => Conflict,
    /// The new rev is not greater than the current one.
    RevNotIncreasing => Conflict,
    /// A removed node is not held by this repo.
    NotHeld => Conflict,
    /// The account's status does not allow it.
    AccountInactive => Conflict,
    /// A row with that key exists.
    RowExists => Conflict,
    /// Another row has that unique value.
    RowNotUnique => Conflict,
    /// The row is not the expected one.
    RowMismatch => Conflict,
    /// A record refers to the blob.
    BlobInUse => Conflict,
    /// The import is not complete: blocks that its tree needs are missing, or the tree was not read to its end.
    ImportIncomplete => Conflict,
    /// More than a bound allows; the detail names the bound and its value.
    TooLarge => Limit,
    /// A cursor beyond the newest sequence number.
    FutureCursor => Invalid,
    /// A position older than what is kept.
    CursorGone => Gone,
    /// No space left; deletes are still taken.
    StorageFull => Busy,
    /// More waits to be written than fits in memory.
    Overloaded => Busy,
    /// Written, but not known to be durable.
    SyncFailed => OutcomeUnknown,
    /// The store was closed or has failed; the detail has the first cause.
    Closed => Stopped,
    /// Reading failed, with the operating system's reason; the bytes on disk may be good. Retry, then look at the disk.
    ReadFailed => Busy,
    /// Bytes on disk fail their check; the detail names file and offset.
    DataCorrupt => Corrupt,
    /// The files belong to another store, format or version; the detail says which.
    WrongStore => Stopped,
    /// Another process holds the store; the detail says which.
    Locked => Stopped,
}

/// An error: a reason that programs compare and a sentence that people read.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    detail: Box<str>,
}

impl Error {
    /// Builds one. `detail` says what failed, where, and whether data is safe.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into().into_boxed_str() }
    }

    /// The stable code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What the caller must do.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.reason.kind()
    }

    /// Whether a write that failed with this error can have taken effect.
    #[must_use]
    pub const fn committed(&self) -> Committed {
        match self.kind() {
            Kind::OutcomeUnknown => Committed::Unknown,
            _ => Committed::No,
        }
    }

    /// The sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same error with `context` before its detail.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self { reason: self.reason, detail: format!("{context}: {}", self.detail).into_boxed_str() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.reason, self.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
