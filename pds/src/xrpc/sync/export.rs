//! Repositories as CAR files.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use backend_api::tree::{self, BlockSource};
use backend_api::{At, Blocks, Cid, Nsid, RecordKey, RecordPath, Tid, limits};
use serde::Deserialize;

use super::repo;
use crate::app::App;
use crate::error::XrpcError;
use crate::repo::{RepoBlocks, car};
use crate::xrpc::extract::Params;

/// Blocks of one `getBlocks`. What is asked for stands in the URL, so there cannot be many.
const CIDS_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct GetRepo {
    did: String,
    since: Option<String>,
}

/// `com.atproto.sync.getRepo`: whole, or what came since a rev. A rev that the history no longer has, or never had, gives
/// the whole, and so does a change that is too large to be kept in mind for as long as somebody takes to read it: too much
/// is never wrong.
pub(super) async fn get_repo(
    State(app): State<Arc<App>>,
    Params(params): Params<GetRepo>,
) -> Result<Response, XrpcError> {
    let since = match &params.since {
        Some(text) => Some(text.parse::<Tid>().map_err(|e| e.context("since"))?),
        None => None,
    };
    let (account, state) = repo(&app, &params.did).await?;
    // History: the blocks of this state stay readable while the repo goes on.
    let source = RepoBlocks::new(Arc::clone(&app.backend), account.did.clone(), Blocks::History);
    let old = match since {
        Some(rev) => app.backend.repo(&account.did, At::Rev(rev)).await?,
        None => None,
    };
    let (commit, data) = (state.head.cid, state.data);
    match old {
        Some(old) => Ok(car::answer(car::since(source, commit, data, old.data, limits::NODES_MAX).await?)),
        None => Ok(car::answer(car::whole(source, commit, data))),
    }
}

/// `com.atproto.sync.getBlocks`: whether all are there is known before the first is read.
pub(super) async fn get_blocks(
    State(app): State<Arc<App>>,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Response, XrpcError> {
    let did = params.iter().find(|(name, _)| name == "did").map(|(_, value)| value.as_str());
    let did = did.ok_or_else(|| XrpcError::invalid("did: is missing"))?;
    let named = params.iter().filter(|(name, _)| name == "cids" || name == "cids[]");
    let cids = named.map(|(_, value)| value.parse()).collect::<backend_api::Result<Vec<Cid>>>()?;
    if cids.is_empty() || cids.len() > CIDS_MAX {
        return Err(XrpcError::invalid(format!("cids: 1 to {CIDS_MAX} are needed")));
    }
    let (account, _) = repo(&app, did).await?;
    let found = app.backend.block_refs(&account.did, &cids, Blocks::Live).await?;
    let mut asked = Vec::with_capacity(found.len());
    let mut missing = Vec::new();
    for (cid, refs) in cids.into_iter().zip(found) {
        match refs {
            Some(refs) => asked.push((cid, refs.len as usize)),
            None => missing.push(cid.to_string()),
        }
    }
    if !missing.is_empty() {
        return Err(XrpcError::bad("BlockNotFound", format!("the repo does not have {}", missing.join(", "))));
    }
    // History: what a write takes out of the repo meanwhile was asked for before.
    let source = RepoBlocks::new(Arc::clone(&app.backend), account.did, Blocks::History);
    Ok(car::answer(car::rootless(source, asked)))
}

#[derive(Deserialize)]
pub(super) struct GetRecord {
    did: String,
    collection: String,
    rkey: String,
}

/// `com.atproto.sync.getRecord`: the commit, the nodes that prove what the tree says of the path, and the record if it is
/// there.
pub(super) async fn get_record(
    State(app): State<Arc<App>>,
    Params(params): Params<GetRecord>,
) -> Result<Response, XrpcError> {
    let collection: Nsid = params.collection.parse()?;
    let rkey: RecordKey = params.rkey.parse()?;
    let path = RecordPath::new(&collection, &rkey);
    let (account, state) = repo(&app, &params.did).await?;
    let source = RepoBlocks::new(Arc::clone(&app.backend), account.did, Blocks::History);
    let lookup = tree::get(&source, state.data, path.as_str()).await?;
    let mut blocks = Vec::with_capacity(lookup.proof.len() + 2);
    for cid in std::iter::once(state.head.cid).chain(lookup.value) {
        let found = source.blocks(&[cid]).await?.pop().flatten();
        blocks.push((cid, found.ok_or_else(|| XrpcError::internal(format!("block {cid} is gone")))?));
    }
    blocks.splice(1..1, lookup.proof);
    Ok(car::answer(car::rooted(state.head.cid, blocks)))
}
