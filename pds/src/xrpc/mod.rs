//! The methods of the AT Protocol's HTTP API that this host has, a file for each family.

mod cors;
mod extract;
mod identity;
mod repo;
mod server;
mod sync;

use std::sync::Arc;

use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::XrpcError;

/// All routes of the host.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(identity::routes())
        .merge(repo::routes())
        .merge(server::routes())
        .merge(sync::routes())
        .route("/_health", get(health))
        .route("/xrpc/_health", get(health))
        .route("/", get(root))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(cors::allow))
        .with_state(app)
}

async fn health() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn root() -> &'static str {
    "This is an AT Protocol Personal Data Server. Its methods are below /xrpc/.\n"
}

async fn unknown(uri: Uri) -> XrpcError {
    if uri.path().starts_with("/xrpc/") {
        return XrpcError::new(StatusCode::NOT_IMPLEMENTED, "MethodNotImplemented", "this host has no such method");
    }
    XrpcError::new(StatusCode::NOT_FOUND, "NotFound", "there is nothing here")
}

async fn wrong_method(method: Method) -> XrpcError {
    let message = format!("{method} is not the HTTP method of this: queries are GET, procedures POST");
    XrpcError::new(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest", message)
}
