//! Reading records.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use backend_api::{Account, Record, RecordPath, RecordQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cid, nsid, rkey, uri};
use crate::app::{App, visible};
use crate::error::XrpcError;
use crate::identity::document;
use crate::repo::json;
use crate::xrpc::extract::Params;

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 100;
/// Bytes after which a page ends, whatever its limit: anybody may ask for pages, and a record has up to a megabyte.
const PAGE_BYTES: usize = 1024 * 1024;
/// Records that are read at a time.
const BATCH_RECORDS: usize = 16;

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
) -> Result<Response, XrpcError> {
    let path = RecordPath::new(&nsid(&params.collection)?, &rkey(&params.rkey)?);
    let wanted = cid("cid", params.cid.as_deref())?;
    let account = visible(app.named(&params.repo).await?)?;
    let record = app.backend.record(&account.did, &path).await?;
    match record.filter(|record| wanted.is_none_or(|cid| cid == record.cid)) {
        Some(record) => {
            let mut text = Vec::new();
            append_record(&mut text, &account, &record)?;
            Ok(answer(text))
        }
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
) -> Result<Response, XrpcError> {
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
    page(&app, &account, query).await.map(answer)
}

/// A page as JSON: up to the limit, or until it is large enough, but at least one record if there is one.
async fn page(app: &App, account: &Account, mut query: RecordQuery) -> Result<Vec<u8>, XrpcError> {
    let mut text = br#"{"records":["#.to_vec();
    let (begin, mut left) = (text.len(), query.limit);
    let next = 'page: loop {
        query.limit = left.min(BATCH_RECORDS);
        let batch = app.backend.records(&account.did, &query).await?;
        for (at, record) in batch.items.iter().enumerate() {
            if text.len() > begin {
                text.push(b',');
            }
            append_record(&mut text, account, record)?;
            if text.len() >= PAGE_BYTES && at + 1 < batch.items.len() {
                break 'page Some(record.path.rkey().parse()?);
            }
        }
        left -= batch.items.len();
        if left == 0 || text.len() >= PAGE_BYTES || batch.next.is_none() {
            break batch.next;
        }
        query.after = batch.next;
    };
    text.push(b']');
    if let Some(next) = &next {
        text.extend_from_slice(br#","cursor":"#);
        json::append_text(&mut text, next.as_str());
    }
    text.push(b'}');
    Ok(text)
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

fn append_record(text: &mut Vec<u8>, account: &Account, record: &Record) -> Result<(), XrpcError> {
    text.extend_from_slice(br#"{"uri":"#);
    json::append_text(text, &uri(account, &record.path));
    text.extend_from_slice(format!(r#","cid":"{}","value":"#, record.cid).as_bytes());
    json::append_block(text, &record.bytes)?;
    text.push(b'}');
    Ok(())
}

fn answer(json: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
