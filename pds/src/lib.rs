//! A small AT Protocol PDS over [`backend_api::Backend`], so that real clients can drive every storage engine.
//!
//! Read it in the order of a request: [`serve`] listens, `xrpc` understands, `auth` and `identity` say who asks and who
//! is meant, `repo` builds and signs commits, [`storage`] is the one place that names an engine.

pub mod app;
pub mod auth;
pub mod bench;
pub mod cli;
pub mod clock;
mod closing;
pub mod config;
pub mod control;
pub mod env;
pub mod error;
pub mod firehose;
pub mod identity;
pub mod logging;
pub mod repo;
pub mod secrets;
pub mod serve;
pub mod storage;
pub mod xrpc;

/// Why a command ended: a sentence for the operator.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
