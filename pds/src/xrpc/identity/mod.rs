//! `com.atproto.identity.*`, and what hosts say of their handles below `/.well-known`.

mod resolve;
mod well_known;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::app::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/xrpc/com.atproto.identity.resolveHandle", get(resolve::handle))
        .route("/.well-known/atproto-did", get(well_known::atproto_did))
        .route("/.well-known/did.json", get(well_known::did_json))
}
