//! The host from outside: over HTTP and WebSockets, on the embedded engine, and once more on Postgres.

mod accounts;
mod batches;
mod commits;
mod connections;
#[path = "../engine/mod.rs"]
mod engine;
mod export;
mod firehose;
mod firehose_load;
mod identity;
mod limits;
mod records;
mod requests;
mod sessions;
mod several;
mod status;
mod support;
mod turnover;

#[test]
fn everything_once_more_on_postgres() {
    engine::once_more_on("postgres", &[]);
}
