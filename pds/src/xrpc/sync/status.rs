//! Where repos stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{AccountStatus, At, Did};
use serde::Deserialize;
use serde_json::{Value, json};

use super::repo;
use crate::app::App;
use crate::error::XrpcError;
use crate::xrpc::extract::Params;

const LIMIT: usize = 500;
const LIMIT_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct OfRepo {
    did: String,
}

/// `com.atproto.sync.getLatestCommit`
pub(super) async fn get_latest_commit(
    State(app): State<Arc<App>>,
    Params(params): Params<OfRepo>,
) -> Result<Json<Value>, XrpcError> {
    let (_, state) = repo(&app, &params.did).await?;
    Ok(Json(json!({"cid": state.head.cid.to_string(), "rev": state.head.rev.to_string()})))
}

/// `com.atproto.sync.getRepoStatus`
pub(super) async fn get_repo_status(
    State(app): State<Arc<App>>,
    Params(params): Params<OfRepo>,
) -> Result<Json<Value>, XrpcError> {
    let did: Did = params.did.parse()?;
    let account = app.account(&did).await?;
    let mut out = status_json(account.status);
    out["did"] = did.as_str().into();
    if account.status == AccountStatus::Active
        && let Some(state) = app.backend.repo(&did, At::Head).await?
    {
        out["rev"] = state.head.rev.to_string().into();
    }
    Ok(Json(out))
}

#[derive(Deserialize)]
pub(super) struct ListRepos {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `com.atproto.sync.listRepos`
pub(super) async fn list_repos(
    State(app): State<Arc<App>>,
    Params(params): Params<ListRepos>,
) -> Result<Json<Value>, XrpcError> {
    let limit = params.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(XrpcError::invalid(format!("limit: {limit} is not 1 to {LIMIT_MAX}")));
    }
    let after = match params.cursor {
        Some(text) => Some(text.parse::<Did>().map_err(|e| e.context("cursor"))?),
        None => None,
    };
    let page = app.backend.repos(after.as_ref(), limit).await?;
    let repos: Vec<Value> = page
        .items
        .iter()
        .map(|listing| {
            let mut out = status_json(listing.status);
            out["did"] = listing.did.as_str().into();
            out["head"] = listing.head.cid.to_string().into();
            out["rev"] = listing.head.rev.to_string().into();
            out
        })
        .collect();
    let mut out = json!({"repos": repos});
    if let Some(next) = page.next {
        out["cursor"] = next.as_str().into();
    }
    Ok(Json(out))
}

fn status_json(status: AccountStatus) -> Value {
    match status.label() {
        None => json!({"active": true}),
        Some(label) => json!({"active": false, "status": label}),
    }
}
