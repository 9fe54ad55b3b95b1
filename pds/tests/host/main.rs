//! The host from outside: over HTTP and WebSockets, on the embedded engine.

mod accounts;
mod batches;
mod commits;
mod export;
mod firehose;
mod firehose_load;
mod identity;
mod limits;
mod records;
mod requests;
mod sessions;
mod status;
mod support;
