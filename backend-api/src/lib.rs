//! The storage contract of an AT Protocol Personal Data Server.
#![warn(missing_docs)]

pub mod car;
pub mod cbor;
pub mod cid;
pub mod error;
pub mod ids;
pub mod tree;

pub use cid::{Cid, Codec};
pub use error::{Committed, Error, Kind, Reason, Result};
pub use ids::{Did, Handle, Nsid, RecordKey, RecordPath, Tid};
