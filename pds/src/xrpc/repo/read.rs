//! Reading records.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{Account, Record, RecordPath, RecordQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cid, nsid, rkey, uri};
use crate::app::{App, visible};
use crate::error::XrpcError;
use crate::identity::document;
use crate::repo::data;
use crate::xrpc::extract::Params;

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 100;

#[derive(Deserialize)]
pub(super) struct GetRecord {
    repo: String,
    collection: String,
    rkey: String,
    cid: Option<String>,
}

/// `com.atproto.repo.getRecord`
pub(super) async fn get_record(
    State(app): State<Arc<App>>,
    Params(params): Params<GetRecord>,
) -> Result<Json<Value>, XrpcError> {
    let path = RecordPath::new(&nsid(&params.collection)?, &rkey(&params.rkey)?);
    let wanted = cid("cid", params.cid.as_deref())?;
    let account = visible(app.named(&params.repo).await?)?;
    let record = app.backend.record(&account.did, &path).await?;
    match record.filter(|record| wanted.is_none_or(|cid| cid == record.cid)) {
        Some(record) => Ok(Json(record_json(&account, &record)?)),
        None => Err(XrpcError::bad("RecordNotFound", format!("there is no such record at {}", uri(&account, &path)))),
    }
}

#[derive(Deserialize)]
pub(super) struct ListRecords {
    repo: String,
    collection: String,
    limit: Option<usize>,
    cursor: Option<String>,
    reverse: Option<bool>,
}

/// `com.atproto.repo.listRecords`: newest first, unless reversed.
pub(super) async fn list_records(
    State(app): State<Arc<App>>,
    Params(params): Params<ListRecords>,
) -> Result<Json<Value>, XrpcError> {
    let limit = params.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(XrpcError::invalid(format!("limit: {limit} is not 1 to {LIMIT_MAX}")));
    }
    let collection = nsid(&params.collection)?;
    let after = match params.cursor {
        Some(text) => Some(text.parse().map_err(|e: backend_api::Error| XrpcError::from(e.context("cursor")))?),
        None => None,
    };
    let account = visible(app.named(&params.repo).await?)?;
    let query = RecordQuery { collection, after, limit, reverse: !params.reverse.unwrap_or(false) };
    let page = app.backend.records(&account.did, &query).await?;
    let records = page.items.iter().map(|record| record_json(&account, record)).collect::<Result<Vec<_>, _>>()?;
    let mut out = json!({"records": records});
    if let Some(next) = page.next {
        out["cursor"] = next.as_str().into();
    }
    Ok(Json(out))
}

#[derive(Deserialize)]
pub(super) struct DescribeRepo {
    repo: String,
}

/// `com.atproto.repo.describeRepo`
pub(super) async fn describe_repo(
    State(app): State<Arc<App>>,
    Params(params): Params<DescribeRepo>,
) -> Result<Json<Value>, XrpcError> {
    let account = visible(app.named(&params.repo).await?)?;
    Ok(Json(json!({
        "handle": account.handle.as_ref().map_or("handle.invalid", |handle| handle.as_str()),
        "did": account.did,
        "didDoc": document::of_account(&*app.backend, &app.host, &account).await?,
        "collections": app.backend.collections(&account.did).await?,
        // Handle and document both come from this host.
        "handleIsCorrect": account.handle.is_some(),
    })))
}

fn record_json(account: &Account, record: &Record) -> Result<Value, XrpcError> {
    Ok(json!({
        "uri": uri(account, &record.path),
        "cid": record.cid.to_string(),
        "value": data::block_to_json(&record.bytes)?,
    }))
}
