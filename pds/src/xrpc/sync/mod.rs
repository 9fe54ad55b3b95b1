//! `com.atproto.sync.*`: repositories as others read them, and the firehose.

mod export;
mod status;
mod subscribe;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use backend_api::{Account, At, Did, RepoState};

use crate::app::{App, visible};
use crate::error::XrpcError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/xrpc/com.atproto.sync.getRepo", get(export::get_repo))
        .route("/xrpc/com.atproto.sync.getBlocks", get(export::get_blocks))
        .route("/xrpc/com.atproto.sync.getRecord", get(export::get_record))
        .route("/xrpc/com.atproto.sync.getLatestCommit", get(status::get_latest_commit))
        .route("/xrpc/com.atproto.sync.getRepoStatus", get(status::get_repo_status))
        .route("/xrpc/com.atproto.sync.listRepos", get(status::list_repos))
        .route("/xrpc/com.atproto.sync.subscribeRepos", get(subscribe::subscribe_repos))
}

/// The repo of a DID as it is now, if the network may see it.
async fn repo(app: &App, did: &str) -> Result<(Account, RepoState), XrpcError> {
    let did: Did = did.parse()?;
    let account = visible(app.account(&did).await?)?;
    match app.backend.repo(&did, At::Head).await? {
        Some(state) => Ok((account, state)),
        None => Err(XrpcError::bad("RepoNotFound", format!("{did} has no repo yet"))),
    }
}
