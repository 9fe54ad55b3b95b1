//! A small AT Protocol PDS over [`backend_api::Backend`], so that real clients can drive every storage engine.
//!
//! Read it in the order of a request: [`serve`] listens, `xrpc` understands, `auth` and `identity` say who asks and who
//! is meant, `repo` builds and signs commits, [`storage`] is the one place that names an engine.
#![warn(missing_docs)]

pub mod bench;
pub mod cli;
pub mod config;
pub mod control;
pub mod logging;
pub mod serve;
pub mod storage;

/// Why a command ended: a sentence for the operator.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
