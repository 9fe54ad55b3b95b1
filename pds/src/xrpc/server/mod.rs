//! `com.atproto.server.*`: accounts and sessions.

mod account;
mod describe;
mod session;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use backend_api::Account;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::session::Issued;
use crate::error::XrpcError;
use crate::identity::document;

/// Bytes of a body. Nothing here is long.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/xrpc/com.atproto.server.describeServer", get(describe::server))
        .route("/xrpc/com.atproto.server.createAccount", post(account::create))
        .route("/xrpc/com.atproto.server.deleteAccount", post(account::delete))
        .route("/xrpc/com.atproto.server.activateAccount", post(status::activate))
        .route("/xrpc/com.atproto.server.deactivateAccount", post(status::deactivate))
        .route("/xrpc/com.atproto.server.createSession", post(session::create))
        .route("/xrpc/com.atproto.server.refreshSession", post(session::refresh))
        .route("/xrpc/com.atproto.server.getSession", get(session::get))
        .route("/xrpc/com.atproto.server.deleteSession", post(session::delete))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// What sessions say of their account.
async fn profile(app: &App, account: &Account) -> Result<Value, XrpcError> {
    let mut out = json!({
        "did": account.did,
        "handle": account.handle.as_ref().map_or("handle.invalid", |handle| handle.as_str()),
        "didDoc": document::of_account(&*app.backend, &app.host, account).await?,
        "active": account.status.label().is_none(),
        "emailConfirmed": account.email_confirmed_at.is_some(),
        "emailAuthFactor": false,
    });
    if let Some(status) = account.status.label() {
        out["status"] = status.into();
    }
    if let Some(email) = &account.email {
        out["email"] = email.as_str().into();
    }
    Ok(out)
}

fn with_tokens(mut profile: Value, issued: &Issued) -> Value {
    profile["accessJwt"] = issued.access.as_str().into();
    profile["refreshJwt"] = issued.refresh.as_str().into();
    profile
}
