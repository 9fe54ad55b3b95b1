//! Resolving handles.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{AccountName, Handle};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::XrpcError;
use crate::xrpc::extract::Params;

#[derive(Deserialize)]
pub(super) struct ResolveHandle {
    handle: String,
}

/// `com.atproto.identity.resolveHandle`: handles of this host.
pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Params(params): Params<ResolveHandle>,
) -> Result<Json<Value>, XrpcError> {
    let handle: Handle = params.handle.parse()?;
    match app.backend.account(&AccountName::Handle(handle.clone())).await? {
        Some(account) => Ok(Json(json!({"did": account.did}))),
        None => Err(XrpcError::bad("HandleNotFound", format!("{handle} is not a handle of this host"))),
    }
}
