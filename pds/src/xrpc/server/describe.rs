//! What this host offers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;

/// `com.atproto.server.describeServer`
pub(super) async fn server(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "did": app.host.did(),
        "availableUserDomains": app.host.handle_domains(),
        "inviteCodeRequired": false,
        "phoneVerificationRequired": false,
        "links": {},
        "contact": {},
    }))
}
