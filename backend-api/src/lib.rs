//! The storage contract of an AT Protocol Personal Data Server.
//!
//! - [`Backend`] is the trait that engines implement and hosts hold.
//! - [`Mutation`] is the only way to write, and [`plan()`] the only place where it is decided what a mutation does.
//! - [`tree`] reads and checks repositories over any source of blocks; [`frame`] writes the firehose's wire frames.
//!
//! No runtime, no I/O, no clock, no randomness: everything here is a function of its arguments.

pub mod account;
mod backend;
pub mod car;
pub mod cbor;
mod check;
pub mod cid;
pub mod effect;
pub mod error;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod mutation;
pub mod number;
mod plan;
pub mod repo;
pub mod row;
pub mod tree;
pub mod view;

pub use account::{Account, AccountName, AccountStatus, Email};
pub use backend::*;
pub use check::Checked;
pub use cid::{Cid, Codec};
pub use effect::{Effect, Effects, ReceiptRow, Sweep};
pub use error::{Committed, Error, Kind, Reason, Result};
pub use ids::{Did, Handle, Nsid, RecordKey, RecordPath, Tid};
pub use mutation::{Change, Mutation, Op, Stamp};
pub use number::{AccountId, IdempotencyKey, Micros, Pos, RepoId, Seq};
pub use plan::{Plan, plan, replan};
pub use repo::{
    At, Blob, Block, BlockRefs, Blocks, CommitRow, Counters, Head, Link, Page, Receipt, Record, RecordQuery, RecordRow,
    Repo, RepoState,
};
pub use row::{Expect, Row, RowKey, RowKind, RowScope};
pub use view::View;
