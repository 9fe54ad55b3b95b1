//! The cases, one file for each facet of the trait. All are listed in `registry.rs`; one that is not is an error.
#![deny(dead_code)]
#![allow(missing_docs, reason = "a case's name is its sentence")]

pub(crate) mod accounts;
pub(crate) mod blobs;
pub(crate) mod blocks;
pub(crate) mod changes;
pub(crate) mod firehose;
pub(crate) mod general;
pub(crate) mod imports;
pub(crate) mod limits;
pub(crate) mod maintenance;
mod race;
pub(crate) mod records;
pub(crate) mod refusals;
pub(crate) mod repos;
pub(crate) mod rows;
pub(crate) mod snapshots;
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
