//! Writing one record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::{RecordKey, RecordPath};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{cid, commit_json, no_lexicons, nsid, own, rkey, uri};
use crate::app::App;
use crate::auth::bearer::Bearer;
use crate::error::XrpcError;
use crate::repo::record::NewRecord;
use crate::repo::writer::{Action, Write, Written, write};
use crate::xrpc::extract::Input;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateRecord {
    repo: String,
    collection: String,
    rkey: Option<String>,
    validate: Option<bool>,
    record: Value,
    swap_commit: Option<String>,
}

/// `com.atproto.repo.createRecord`
pub(super) async fn create_record(
    State(app): State<Arc<App>>,
    bearer: Bearer,
    Input(input): Input<CreateRecord>,
) -> Result<Json<Value>, XrpcError> {
    let account = own(bearer, &input.repo)?;
    no_lexicons(input.validate)?;
    let collection = nsid(&input.collection)?;
    let rkey = match &input.rkey {
        Some(text) => rkey(text)?,
        None => new_rkey(&app)?,
    };
    let record = NewRecord::from_json(&collection, &input.record)?;
    let (path, record_cid) = (RecordPath::new(&collection, &rkey), record.block.cid());
    let writes = vec![Write { path: path.clone(), action: Action::Create(record), swap: None }];
    let swap = cid("swapCommit", input.swap_commit.as_deref())?;
    let written = write(&app, &account, writes, swap).await?;
    Ok(Json(answer(&written, json!({"uri": uri(&account, &path), "cid": record_cid.to_string()}))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutRecord {
    repo: String,
    collection: String,
    rkey: String,
    validate: Option<bool>,
    record: Value,
    /// Not there: any record. Null: no record. A CID: that record.
    #[serde(default, deserialize_with = "given")]
    swap_record: Option<Option<String>>,
    swap_commit: Option<String>,
}

/// `com.atproto.repo.putRecord`
pub(super) async fn put_record(
    State(app): State<Arc<App>>,
    bearer: Bearer,
    Input(input): Input<PutRecord>,
) -> Result<Json<Value>, XrpcError> {
    let account = own(bearer, &input.repo)?;
    no_lexicons(input.validate)?;
    let collection = nsid(&input.collection)?;
    let path = RecordPath::new(&collection, &rkey(&input.rkey)?);
    let record = NewRecord::from_json(&collection, &input.record)?;
    let record_cid = record.block.cid();
    let swap = match &input.swap_record {
        Some(text) => Some(cid("swapRecord", text.as_deref())?),
        None => None,
    };
    let writes = vec![Write { path: path.clone(), action: Action::Put(record), swap }];
    let swap = cid("swapCommit", input.swap_commit.as_deref())?;
    let written = write(&app, &account, writes, swap).await?;
    Ok(Json(answer(&written, json!({"uri": uri(&account, &path), "cid": record_cid.to_string()}))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteRecord {
    repo: String,
    collection: String,
    rkey: String,
    swap_record: Option<String>,
    swap_commit: Option<String>,
}

/// `com.atproto.repo.deleteRecord`. A record that is not there is fine.
pub(super) async fn delete_record(
    State(app): State<Arc<App>>,
    bearer: Bearer,
    Input(input): Input<DeleteRecord>,
) -> Result<Json<Value>, XrpcError> {
    let account = own(bearer, &input.repo)?;
    let path = RecordPath::new(&nsid(&input.collection)?, &rkey(&input.rkey)?);
    let swap = cid("swapRecord", input.swap_record.as_deref())?.map(Some);
    let writes = vec![Write { path, action: Action::DeleteIfThere, swap }];
    let swap = cid("swapCommit", input.swap_commit.as_deref())?;
    let written = write(&app, &account, writes, swap).await?;
    Ok(Json(written.commit.map_or_else(|| json!({}), |head| json!({"commit": commit_json(&head)}))))
}

/// A record key that nobody has: a TID of this host's clock.
pub(super) fn new_rkey(app: &App) -> Result<RecordKey, XrpcError> {
    Ok(app.tids.next().to_string().parse()?)
}

fn answer(written: &Written, mut out: Value) -> Value {
    if let Some(head) = &written.commit {
        out["commit"] = commit_json(head);
    }
    // No lexicons here: nobody checked the record against its own.
    out["validationStatus"] = "unknown".into();
    out
}

fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(d).map(Some)
}
