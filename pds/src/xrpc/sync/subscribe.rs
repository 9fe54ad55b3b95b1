//! The firehose over a WebSocket.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use backend_api::Seq;
use serde::Deserialize;

use crate::app::App;
use crate::error::XrpcError;
use crate::firehose::{self, Subscriber};
use crate::xrpc::extract::Params;

/// Consumers have nothing to say: their messages are control frames.
const INBOUND_BYTES_MAX: usize = 4 * 1024;

#[derive(Deserialize)]
pub(super) struct SubscribeRepos {
    cursor: Option<u64>,
}

/// `com.atproto.sync.subscribeRepos`
pub(super) async fn subscribe_repos(
    State(app): State<Arc<App>>,
    Params(params): Params<SubscribeRepos>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, XrpcError> {
    let upgrade = upgrade.map_err(|e| XrpcError::invalid(format!("this is a WebSocket: {e}")))?;
    let cursor = params.cursor.map(Seq::new).transpose().map_err(|e| e.context("cursor"))?;
    // Before it is answered: whoever has heard the answer misses nothing from then on.
    let window = app.backend.event_window().await?;
    Ok(upgrade
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX)
        .write_buffer_size(firehose::BUFFER_BYTES)
        .on_upgrade(move |socket| Subscriber::new(app, socket).run(cursor, window)))
}
