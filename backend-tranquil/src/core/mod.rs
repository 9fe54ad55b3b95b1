//! The engine without threads: state, committer, checkpointer, recovery. Driven step by step by [`runtime`] or by a
//! simulator.
//!
//! [`runtime`]: crate::runtime

mod checkpoint;
mod committer;
mod draft;
mod heal;
mod identity;
mod keeper;
mod maintain;
mod metadata;
mod open;
mod point;
mod reader;
mod replay;
mod restore;
mod shared;
mod space;
mod tables_guard;
mod tail;

pub use checkpoint::{Checkpointer, Drained};
pub use committer::{Answer, Committer, Job, Landed};
pub use heal::{Wanted, heal_sealed, open, rebuild_at_next_open};
pub use keeper::Keeper;
pub use metadata::mark_of;
pub use open::Opened;
pub use point::{Fetched, generation_in, place_in};
pub use restore::Restored;
pub use shared::{Counters, Shared};
