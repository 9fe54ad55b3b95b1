//! Writing many records in one commit.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{Account, RecordPath, limits};
use serde::Deserialize;
use serde_json::{Value, json};

use super::write::new_rkey;
use super::{cid, commit_json, no_lexicons, nsid, own, rkey, uri};
use crate::app::App;
use crate::auth::bearer::Bearer;
use crate::error::XrpcError;
use crate::repo::record::NewRecord;
use crate::repo::writer::{Action, Write, write};
use crate::xrpc::extract::Input;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplyWrites {
    repo: String,
    validate: Option<bool>,
    writes: Vec<Item>,
    swap_commit: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "$type")]
enum Item {
    #[serde(rename = "com.atproto.repo.applyWrites#create")]
    Create { collection: String, rkey: Option<String>, value: Value },
    #[serde(rename = "com.atproto.repo.applyWrites#update")]
    Update { collection: String, rkey: String, value: Value },
    #[serde(rename = "com.atproto.repo.applyWrites#delete")]
    Delete { collection: String, rkey: String },
}

/// `com.atproto.repo.applyWrites`: all of them in one commit, or none.
pub(super) async fn apply_writes(
    State(app): State<Arc<App>>,
    bearer: Bearer,
    Input(input): Input<ApplyWrites>,
) -> Result<Json<Value>, XrpcError> {
    let account = own(bearer, &input.repo)?;
    no_lexicons(input.validate)?;
    if input.writes.len() > limits::COMMIT_OPS_MAX {
        let max = limits::COMMIT_OPS_MAX;
        return Err(XrpcError::invalid(format!("writes: {} is more than {max}", input.writes.len())));
    }
    let mut writes = Vec::with_capacity(input.writes.len());
    let mut results = Vec::with_capacity(input.writes.len());
    for (at, item) in input.writes.iter().enumerate() {
        let (write, result) = read(&app, &account, item).map_err(|mut e| {
            e.message = format!("writes[{at}]: {}", e.message).into();
            e
        })?;
        writes.push(write);
        results.push(result);
    }
    let swap = cid("swapCommit", input.swap_commit.as_deref())?;
    let written = write(&app, &account, writes, swap).await?;
    let mut out = json!({"results": results});
    if let Some(head) = &written.commit {
        out["commit"] = commit_json(head);
    }
    Ok(Json(out))
}

/// What is to be written, and the result if it is.
fn read(app: &App, account: &Account, item: &Item) -> Result<(Write, Value), XrpcError> {
    let (path, value, kind) = match item {
        Item::Create { collection, rkey: None, value } => {
            (RecordPath::new(&nsid(collection)?, &new_rkey(app)?), Some((collection, value)), "create")
        }
        Item::Create { collection, rkey: Some(key), value } => {
            (RecordPath::new(&nsid(collection)?, &rkey(key)?), Some((collection, value)), "create")
        }
        Item::Update { collection, rkey: key, value } => {
            (RecordPath::new(&nsid(collection)?, &rkey(key)?), Some((collection, value)), "update")
        }
        Item::Delete { collection, rkey: key } => (RecordPath::new(&nsid(collection)?, &rkey(key)?), None, "delete"),
    };
    let mut result = json!({"$type": format!("com.atproto.repo.applyWrites#{kind}Result")});
    let Some((collection, value)) = value else {
        return Ok((Write { path, action: Action::Delete, swap: None }, result));
    };
    let record = NewRecord::from_json(&nsid(collection)?, value)?;
    result["uri"] = uri(account, &path).into();
    result["cid"] = record.block.cid().to_string().into();
    result["validationStatus"] = "unknown".into();
    let action = if kind == "create" { Action::Create(record) } else { Action::Update(record) };
    Ok((Write { path, action, swap: None }, result))
}
