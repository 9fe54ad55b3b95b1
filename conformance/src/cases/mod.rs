//! The cases: a file for each facet of the trait, others for what goes across them (races, clocks, names, retries). All are
//! listed in `list.rs`; one that is not is an error.
#![deny(dead_code)]
#![allow(missing_docs, reason = "a case's name is its sentence")]

pub(crate) mod accounts;
pub(crate) mod again;
pub(crate) mod batches;
pub(crate) mod blobs;
pub(crate) mod blocks;
pub(crate) mod changes;
pub(crate) mod clocks;
pub(crate) mod cursors;
pub(crate) mod figures;
pub(crate) mod firehose;
pub(crate) mod general;
pub(crate) mod great_imports;
pub(crate) mod history;
pub(crate) mod import_steps;
pub(crate) mod imports;
pub(crate) mod limits;
pub(crate) mod listings;
pub(crate) mod maintenance;
pub(crate) mod meanwhile;
pub(crate) mod names;
pub(crate) mod page_limits;
pub(crate) mod purges;
mod race;
pub(crate) mod races;
pub(crate) mod records;
pub(crate) mod refusals;
pub(crate) mod repos;
pub(crate) mod retries;
pub(crate) mod row_scopes;
pub(crate) mod row_shapes;
pub(crate) mod rows;
pub(crate) mod sizes;
pub(crate) mod snapshots;
pub(crate) mod tokens;
pub(crate) mod twins;
pub(crate) mod writes;

/// What every case needs.
mod prelude {
    pub use std::sync::Arc;

    pub use backend_api::mutation::*;
    pub use backend_api::*;

    pub(crate) use super::race::count_taken;
    pub use crate::context::{Context, START, create_account};
    pub use crate::digest;
    pub use crate::outcome::Outcome;
    pub use crate::scene::*;

    /// The end of a closure whose error has to be named.
    pub(crate) fn answer<T>(value: T) -> Result<T> {
        Ok(value)
    }
}
