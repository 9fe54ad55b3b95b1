//! Rows of tables as values of the contract, and back where a column has a form of its own.

use backend_api::effect::ReceiptRow;
use backend_api::{
    Account, AccountStatus, Blob, Change, Cid, CommitRow, Counters, Did, Error, Head, IdempotencyKey, Link, Mutation,
    Receipt, Repo, RepoId, Result, Row, RowKey, RowKind, Seq, Stamp,
};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::types::{Columns as _, corrupt};

/// Before every encoded body: its form.
const VERSION: u8 = 1;

/// did, id, handle, email, email_confirmed_at, password_hash, status, created_at, repo, import.
pub(crate) fn account(row: &PgRow) -> Result<Account> {
    Ok(Account {
        did: row.name(0)?,
        id: backend_api::AccountId(row.number(1)?),
        handle: row.optional_name(2)?,
        email: row.optional_name(3)?,
        email_confirmed_at: row.optional_time(4)?,
        password_hash: row.optional_text(5)?.map(str::to_owned),
        status: status(row.text(6)?)?,
        created_at: row.time(7)?,
        repo: row.optional_number(8)?.map(RepoId),
        import: row.optional_number(9)?.map(RepoId),
    })
}

/// An account's status by the name that it has in frames.
pub(crate) fn status(name: &str) -> Result<AccountStatus> {
    let found = AccountStatus::ALL.into_iter().find(|status| status_name(*status) == name);
    found.ok_or_else(|| corrupt(format!("status {name:?} of an account")))
}

pub(crate) fn status_name(status: AccountStatus) -> &'static str {
    status.label().unwrap_or("active")
}

/// From a column on: head_cid, head_rev, data, records, refs, bytes.
pub(crate) fn repo(row: &PgRow, id: RepoId, did: Did, from: usize) -> Result<Repo> {
    let head = match row.optional_name(from + 1)? {
        Some(rev) => Some(Head { cid: row.cid(from)?, rev }),
        None => None,
    };
    let data = row.optional_bytes(from + 2)?.map(Cid::from_bytes).transpose().map_err(corrupt)?;
    Ok(Repo { id, did, head, data, counters: counters(row, from + 3)? })
}

/// From a column on: records, refs, bytes.
pub(crate) fn counters(row: &PgRow, from: usize) -> Result<Counters> {
    Ok(Counters { records: row.number(from)?, refs: row.number(from + 1)?, bytes: row.number(from + 2)? })
}

/// From a column on: rev, cid, data, pos, at.
pub(crate) fn commit(row: &PgRow, from: usize) -> Result<(backend_api::Tid, CommitRow)> {
    let commit = CommitRow {
        cid: row.cid(from + 1)?,
        data: row.cid(from + 2)?,
        pos: row.pos(from + 3)?,
        at: row.time(from + 4)?,
    };
    Ok((row.name(from)?, commit))
}

/// From a column on: cid, mime, bytes, at.
pub(crate) fn blob(row: &PgRow, from: usize) -> Result<Blob> {
    Ok(Blob {
        cid: row.cid(from)?,
        mime: row.text(from + 1)?.into(),
        bytes: row.number(from + 2)?,
        at: row.time(from + 3)?,
    })
}

/// kind, key, the owner's DID, four unique values, four look-up values, expires_at, body.
pub(crate) fn row(row: &PgRow) -> Result<Row> {
    let code: i16 = row.try_get(0).map_err(corrupt)?;
    let kind =
        u8::try_from(code).ok().and_then(RowKind::from_code).ok_or_else(|| corrupt(format!("row kind {code}")))?;
    let values = |from: usize| -> Result<Vec<Vec<u8>>> {
        let found = (from..from + 4).map_while(|column| row.optional_bytes(column).transpose());
        found.map(|value| value.map(<[u8]>::to_vec)).collect()
    };
    Ok(Row {
        key: RowKey { kind, key: row.bytes(1)?.to_vec() },
        owner: row.optional_name(2)?,
        unique: values(3)?,
        lookup: values(7)?,
        expires_at: row.optional_time(11)?,
        body: row.bytes(12)?.to_vec(),
    })
}

/// From a column on: did, key, taken, digest, pos, first_seq, events, at.
pub(crate) fn receipt(row: &PgRow, from: usize) -> Result<(Did, IdempotencyKey, ReceiptRow)> {
    let key = row.bytes(from + 1)?.try_into().map_err(|_| corrupt("an idempotency key that has not 16 bytes"))?;
    let taken = match row.optional_bytes(from + 2)? {
        Some(body) => decode(body, "the rows of a receipt")?,
        None => Vec::new(),
    };
    let digest: i64 = row.try_get(from + 3).map_err(corrupt)?;
    let events = u32::try_from(row.number(from + 6)?).map_err(corrupt)?;
    let receipt =
        Receipt { pos: row.pos(from + 4)?, at: row.time(from + 7)?, first_seq: row.seq(from + 5)?, events, taken };
    Ok((row.name(from)?, IdempotencyKey(key), ReceiptRow { digest: digest.cast_unsigned(), receipt }))
}

/// The rows that a receipt has, encoded; nothing for most.
pub(crate) fn taken(receipt: &Receipt) -> Option<Vec<u8>> {
    (!receipt.taken.is_empty()).then(|| encode(&receipt.taken))
}

/// pos, at, first_seq, body.
pub(crate) fn change(row: &PgRow) -> Result<Change> {
    let first_seq: Seq = row.seq(2)?;
    let stamp = Stamp { pos: row.pos(0)?, at: row.time(1)?, first_seq };
    Ok(Change { stamp, mutation: decode::<Mutation>(row.bytes(3)?, "a change")? })
}

/// A version byte and postcard.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain structs always serialize into memory")
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| corrupt(format!("{what}: {e}"))),
        Some((version, _)) => Err(corrupt(format!("{what} has version {version}, this program reads {VERSION}"))),
        None => Err(corrupt(format!("{what} is empty"))),
    }
}

/// `records.mentions`.
pub(crate) fn mentions(text: Option<&str>) -> Result<(Vec<Cid>, Vec<Link>)> {
    let Some(text) = text else { return Ok((Vec::new(), Vec::new())) };
    let bad = || corrupt("records.mentions is not of the form {\"blobs\": [...], \"links\": [[field, target], ...]}");
    let value: Value = serde_json::from_str(text).map_err(|_| bad())?;
    let list = |name: &str| value.get(name).and_then(Value::as_array).ok_or_else(bad);
    let blob = |cid: &Value| cid.as_str().and_then(|cid| cid.parse().ok()).ok_or_else(bad);
    let link = |link: &Value| {
        let part = |i: usize| link.get(i).and_then(Value::as_str).map(Into::into).ok_or_else(bad);
        Ok::<Link, Error>(Link { field: part(0)?, target: part(1)? })
    };
    let blobs = list("blobs")?.iter().map(blob).collect::<Result<_>>()?;
    Ok((blobs, list("links")?.iter().map(link).collect::<Result<_>>()?))
}

/// The text of `records.mentions`.
pub(crate) fn mentions_text(blobs: &[Cid], links: &[Link]) -> Option<String> {
    if blobs.is_empty() && links.is_empty() {
        return None;
    }
    let blobs: Vec<String> = blobs.iter().map(Cid::to_string).collect();
    let links: Vec<[&str; 2]> = links.iter().map(|link| [&*link.field, &*link.target]).collect();
    Some(json!({ "blobs": blobs, "links": links }).to_string())
}

/// The text of `rows.json`: the body if it is a JSON object or array that Postgres takes as well.
pub(crate) fn json_text(body: &[u8]) -> Option<String> {
    if !matches!(body.first(), Some(b'{' | b'[')) {
        return None;
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    // Written anew: numbers in the range of a double, no half surrogates. Of what is left `jsonb` refuses only U+0000.
    has_no_zero(&value).then(|| value.to_string())
}

fn has_no_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(has_no_zero),
        Value::Object(fields) => fields.iter().all(|(key, value)| !key.contains('\0') && has_no_zero(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
