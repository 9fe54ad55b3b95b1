//! The SQL engine: a store in a Postgres database, behind the contract of `backend-api`.
//!
//! - Relational tables that an operator can query ([schema and examples](../../docs/postgres.md)), migrated at every opening.
//! - Group commit: what waits is planned together and written by one statement, with one commit.
//! - Any number of processes over one database, each of which may write to any repo. A write takes effect only if nobody
//!   else wrote since what it was planned on; sequence numbers become visible in their order.
//!
//! Nothing hangs on a session: a pooler, or another engine that speaks the protocol, may stand in between.

mod attend;
mod backend;
mod clock;
mod decode;
mod error;
mod fence;
mod link;
mod listen;
mod migrate;
mod options;
mod shared;
mod silence;
mod slots;
mod sql;
mod sweep;
mod types;
mod verify;
mod write;

pub use backend::{PLANNING, Postgres};
pub use clock::{Clock, SystemClock};
pub use migrate::{MIGRATIONS, Migration, migrate};
pub use options::Options;
