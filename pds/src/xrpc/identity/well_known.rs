//! What the network asks of a handle's host name (<https://atproto.com/specs/handle#handle-resolution>), and the DID
//! documents of `did:web`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use backend_api::{Account, AccountName};

use crate::app::App;
use crate::error::XrpcError;
use crate::identity::document;

/// `/.well-known/atproto-did`: the DID of the handle that the request's host name is.
pub(super) async fn atproto_did(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, XrpcError> {
    match account(&app, &headers).await? {
        Some(account) => Ok(account.did.into_string().into_response()),
        None => Err(not_found()),
    }
}

/// `/.well-known/did.json`: of this host, or of an account whose `did:web` is the request's host name.
pub(super) async fn did_json(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, XrpcError> {
    if host_name(&headers).is_some_and(|name| name.eq_ignore_ascii_case(app.host.name())) {
        return Ok(Json(document::of_host(&app.host)).into_response());
    }
    match account(&app, &headers).await?.filter(|account| account.did.method() == "web") {
        Some(account) => Ok(Json(document::of_account(&*app.backend, &app.host, &account).await?).into_response()),
        None => Err(not_found()),
    }
}

async fn account(app: &App, headers: &HeaderMap) -> Result<Option<Account>, XrpcError> {
    match host_name(headers).and_then(|name| name.parse().ok()) {
        Some(handle) => Ok(app.backend.account(&AccountName::Handle(handle)).await?),
        None => Ok(None),
    }
}

fn host_name(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    host.split(':').next()
}

fn not_found() -> XrpcError {
    XrpcError::new(StatusCode::NOT_FOUND, "NotFound", "no account has this host name as its handle")
}
