//! The firehose over a WebSocket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use backend_api::Seq;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::app::App;
use crate::error::XrpcError;
use crate::firehose::{Socket, Subscriber};
use crate::xrpc::extract::Params;

#[derive(Deserialize)]
pub(super) struct SubscribeRepos {
    cursor: Option<u64>,
}

/// `com.atproto.sync.subscribeRepos`
pub(super) async fn subscribe_repos(
    State(app): State<Arc<App>>,
    Params(params): Params<SubscribeRepos>,
    mut request: Request,
) -> Result<Response, XrpcError> {
    let response = create_response_with_body(&request, Body::empty);
    let response = response.map_err(|e| XrpcError::invalid(format!("this is a WebSocket: {e}")))?;
    let cursor = params.cursor.map(Seq::new).transpose().map_err(|e| e.context("cursor"))?;
    // Before it is answered: whoever has heard the answer misses nothing from then on.
    let window = app.backend.event_window().await?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(io) => Subscriber::new(app, Socket::new(io)).run(cursor, window).await,
            Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
        }
    });
    Ok(response)
}
