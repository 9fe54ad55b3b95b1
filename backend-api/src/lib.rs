//! The storage contract of an AT Protocol Personal Data Server.
#![warn(missing_docs)]

pub mod cid;
pub mod error;

pub use cid::{Cid, Codec};
pub use error::{Committed, Error, Kind, Reason, Result};
