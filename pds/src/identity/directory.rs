//! The local did:plc directory of `serve --dev`: answers `GET /<did>` with the DID document.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use backend_api::{AccountName, Did};
use serde_json::json;

use super::document;
use crate::app::App;
use crate::error::XrpcError;

/// Its routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/_health", get(|| async { Json(json!({"version": "local"})) }))
        .route("/{did}", get(resolve))
        .with_state(app)
}

async fn resolve(State(app): State<Arc<App>>, Path(did): Path<String>) -> Result<Response, XrpcError> {
    let unknown =
        || (StatusCode::NOT_FOUND, Json(json!({"message": format!("DID not registered: {did}")}))).into_response();
    let Ok(parsed) = did.parse::<Did>() else { return Ok(unknown()) };
    if parsed.method() != "plc" {
        return Ok(unknown());
    }
    match app.backend.account(&AccountName::Did(parsed)).await? {
        None => Ok(unknown()),
        Some(account) => Ok(Json(document::of_account(&*app.backend, &app.host, &account).await?).into_response()),
    }
}
