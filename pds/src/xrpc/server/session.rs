//! Sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{AccountName, AccountStatus};
use serde::Deserialize;
use serde_json::Value;

use super::{profile, with_tokens};
use crate::app::App;
use crate::auth::bearer::{Bearer, Refresher};
use crate::auth::session;
use crate::error::XrpcError;
use crate::xrpc::extract::Input;

#[derive(Deserialize)]
pub(super) struct CreateSession {
    identifier: String,
    password: String,
}

/// `com.atproto.server.createSession`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Input(input): Input<CreateSession>,
) -> Result<Json<Value>, XrpcError> {
    let account = match name(&input.identifier) {
        Some(name) => app.backend.account(&name).await?,
        None => None,
    };
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = app.passwords.verify(input.password, stored).await?;
    let wrong = || XrpcError::unauthorized("AuthenticationRequired", "invalid identifier or password");
    let account = account.filter(|_| right).ok_or_else(wrong)?;
    if matches!(account.status, AccountStatus::Takendown | AccountStatus::Suspended) {
        return Err(XrpcError::unauthorized("AccountTakedown", "the account has been taken down"));
    }
    let issued = session::create(&app, &account.did).await?;
    // While the password was looked at, the DID may have become somebody else's. Then nobody hears of this session.
    if !app.has_still(&account).await? {
        return Err(wrong());
    }
    Ok(Json(with_tokens(profile(&app, &account).await?, &issued)))
}

/// A handle, an e-mail address or a DID.
fn name(identifier: &str) -> Option<AccountName> {
    if identifier.contains('@') {
        identifier.parse().ok().map(AccountName::Email)
    } else if identifier.starts_with("did:") {
        identifier.parse().ok().map(AccountName::Did)
    } else {
        identifier.parse().ok().map(AccountName::Handle)
    }
}

/// `com.atproto.server.refreshSession`
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Refresher(claims): Refresher,
) -> Result<Json<Value>, XrpcError> {
    let issued = session::refresh(&app, &claims).await?;
    let account = app.account(&claims.sub).await?;
    if matches!(account.status, AccountStatus::Takendown | AccountStatus::Suspended) {
        return Err(XrpcError::bad("AccountTakedown", "the account has been taken down"));
    }
    Ok(Json(with_tokens(profile(&app, &account).await?, &issued)))
}

/// `com.atproto.server.getSession`
pub(super) async fn get(State(app): State<Arc<App>>, Bearer(account): Bearer) -> Result<Json<Value>, XrpcError> {
    Ok(Json(profile(&app, &account).await?))
}

/// `com.atproto.server.deleteSession`
pub(super) async fn delete(State(app): State<Arc<App>>, Refresher(claims): Refresher) -> Result<(), XrpcError> {
    session::close(&app, &claims).await
}
