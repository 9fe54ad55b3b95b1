//! `com.atproto.repo.*`: records.

mod batch;
mod read;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use backend_api::{Account, AccountStatus, Cid, Head, Nsid, RecordKey, RecordPath};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::bearer::Bearer;
use crate::error::XrpcError;

/// Bytes of a body: a commit's worth of records (2,000,000 bytes), and what JSON adds to them.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/xrpc/com.atproto.repo.createRecord", post(write::create_record))
        .route("/xrpc/com.atproto.repo.putRecord", post(write::put_record))
        .route("/xrpc/com.atproto.repo.deleteRecord", post(write::delete_record))
        .route("/xrpc/com.atproto.repo.applyWrites", post(batch::apply_writes))
        .route("/xrpc/com.atproto.repo.getRecord", get(read::get_record))
        .route("/xrpc/com.atproto.repo.listRecords", get(read::list_records))
        .route("/xrpc/com.atproto.repo.describeRepo", get(read::describe_repo))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The account of the bearer, if `repo` names it and it may write.
fn own(Bearer(account): Bearer, repo: &str) -> Result<Account, XrpcError> {
    let is_handle = account.handle.as_ref().is_some_and(|handle| handle.as_str().eq_ignore_ascii_case(repo));
    if !is_handle && account.did.as_str() != repo {
        return Err(XrpcError::new(
            axum::http::StatusCode::FORBIDDEN,
            "AuthorizationError",
            format!("repo: the token is that of {}, not of {repo}", account.did),
        ));
    }
    match account.status {
        AccountStatus::Active => Ok(account),
        AccountStatus::Deactivated => Err(XrpcError::bad("AccountDeactivated", "the account is deactivated")),
        _ => Err(XrpcError::bad("AccountTakedown", "the account may not write")),
    }
}

/// This host knows no lexicons, so that it cannot do what `validate: true` demands.
fn no_lexicons(validate: Option<bool>) -> Result<(), XrpcError> {
    if validate == Some(true) {
        return Err(XrpcError::invalid("validate: this host knows no lexicons, so it cannot validate; leave it unset"));
    }
    Ok(())
}

fn nsid(text: &str) -> Result<Nsid, XrpcError> {
    text.parse().map_err(|e: backend_api::Error| e.context("collection").into())
}

fn rkey(text: &str) -> Result<RecordKey, XrpcError> {
    text.parse().map_err(|e: backend_api::Error| e.context("rkey").into())
}

fn cid(name: &str, text: Option<&str>) -> Result<Option<Cid>, XrpcError> {
    text.map(str::parse).transpose().map_err(|e: backend_api::Error| e.context(name).into())
}

fn uri(account: &Account, path: &RecordPath) -> String {
    format!("at://{}/{path}", account.did)
}

fn commit_json(head: &Head) -> Value {
    json!({"cid": head.cid.to_string(), "rev": head.rev.to_string()})
}
