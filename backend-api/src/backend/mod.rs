//! The contract: one trait, in facets of a few methods each.
//!
//! Every promise has a number, and names the case of the `conformance` suite that shows it; a test of that suite fails
//! for a promise without a case. What holds for all methods:
//!
//! - **G1** Reads see exactly the acknowledged writes: a read that starts after a write was acknowledged sees it, and no
//!   read sees a part of a mutation, or one that may still fail (`general_reads_see_acknowledged_writes`,
//!   `general_no_read_sees_a_part`).
//! - **G2** What is not there is `None`, an empty page or an empty list, never an error; also when the account is not there
//!   (`general_missing_is_not_an_error`).
//! - **G3** Pages are in the order of the key's bytes, filtered before the limit: fewer items than the limit means the
//!   end, and a page names the next one exactly if there is one (`general_pages_end_exactly`).
//! - **G4** A limit of 0 is [`Reason::BadRequest`](crate::Reason), one above
//!   [`PAGE_ITEMS_MAX`](crate::limits::PAGE_ITEMS_MAX) is lowered to it (`general_limit_of_zero_is_refused`,
//!   `general_great_limits_are_lowered`).
//! - **G5** Dropping a future of a read does nothing. Dropping one of a write does not take the write back
//!   (`general_dropped_write_is_whole_or_absent`).
//! - **G6** Storage serves whatever an account's status is; what the network may see is the host's decision
//!   (`general_every_status_is_served`).
//! - **G7** The store's time is its clock's, but never before that of its newest mutation, or of a sweep that forgot
//!   something: a clock that goes back stands still (`general_time_never_decreases`, `general_time_stands_after_a_sweep`).

mod accounts;
mod blobs;
mod blocks;
mod changes;
mod firehose;
mod maintenance;
mod records;
mod repos;
mod rows;
mod snapshots;
mod writes;

pub use accounts::Accounts;
pub use blobs::{Blobs, MissingBlob};
pub use blocks::BlockReads;
pub use changes::Changes;
pub use firehose::{EventFrame, EventWindow, Firehose};
pub use maintenance::{Maintenance, SpaceUse, Stats, SweepReport, VerifyLevel, VerifyReport};
pub use records::Records;
pub use repos::{RepoListing, Repos};
pub use rows::Rows;
pub use snapshots::{Snapshot, SnapshotItem, Snapshots};
pub use writes::Writes;

/// A storage backend of a PDS. Object-safe: hosts hold an `Arc<dyn Backend>`.
pub trait Backend:
    Writes
    + Accounts
    + Repos
    + Records
    + BlockReads
    + Blobs
    + Rows
    + Firehose
    + Changes
    + Snapshots
    + Maintenance
    + Send
    + Sync
    + 'static
{
}

impl<T> Backend for T where
    T: Writes
        + Accounts
        + Repos
        + Records
        + BlockReads
        + Blobs
        + Rows
        + Firehose
        + Changes
        + Snapshots
        + Maintenance
        + Send
        + Sync
        + 'static
{
}
