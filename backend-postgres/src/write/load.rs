//! Loads what is wanted into the overlay: one statement for each sort of key, whatever the number of keys.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::{AccountId, Cid, RecordRow, RepoId, Result, RowKey};
use sqlx::postgres::PgConnection;

use super::overlay::{Members, Overlay};
use super::wanted::Wanted;
use crate::decode;
use crate::error::failed;
use crate::sql::at_place;
use crate::types::{Columns as _, cid_bytes, corrupt, signed};

/// Loads all of it. What is not there is known to be not there afterwards.
pub(super) async fn load(connection: &mut PgConnection, overlay: &mut Overlay, wanted: Wanted) -> Result<(), Failed> {
    if !wanted.accounts.is_empty() {
        accounts(connection, overlay, &wanted).await?;
    }
    if !wanted.handles.is_empty() || !wanted.emails.is_empty() {
        names(connection, overlay, &wanted).await?;
    }
    if !wanted.repos.is_empty() {
        repos(connection, overlay, &wanted).await?;
    }
    if !(wanted.receipts.is_empty() && wanted.records.is_empty() && wanted.blocks.is_empty()) {
        commits(connection, overlay, &wanted).await?;
    }
    if !wanted.blobs.is_empty() {
        blobs(connection, overlay, &wanted).await?;
    }
    if !wanted.uses.is_empty() {
        uses(connection, overlay, &wanted).await?;
    }
    if !wanted.uniques.is_empty() {
        uniques(connection, overlay, &wanted).await?;
    }
    for (did, limit) in &wanted.owned {
        let sql = include_str!("../../sql/load_owned.sql");
        let found = sqlx::query(sql).bind(did.as_str()).bind(*limit as i64).fetch_all(&mut *connection).await?;
        let is_all = found.len() < *limit;
        let mut keys = BTreeSet::new();
        for row in &found {
            let row = decode::row(row)?;
            keys.insert(row.key.clone());
            if !overlay.rows.contains_key(&row.key) {
                overlay.found_row(row, 0);
            };
        }
        overlay.owned.entry(did.clone()).or_default().stored = Some((keys, is_all));
    }
    if !wanted.rows.is_empty() {
        rows(connection, overlay, &wanted.rows).await?;
    }
    Ok(())
}

/// What loading can end with: an error of the database, which may pass, or one of the contract.
#[derive(Debug)]
pub(crate) enum Failed {
    Database(sqlx::Error),
    Other(backend_api::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(e: sqlx::Error) -> Self {
        Self::Database(e)
    }
}

impl From<backend_api::Error> for Failed {
    fn from(e: backend_api::Error) -> Self {
        Self::Other(e)
    }
}

impl Failed {
    pub fn into_error(self, what: &str) -> backend_api::Error {
        match self {
            Self::Database(e) => failed(what, &e),
            Self::Other(e) => e,
        }
    }
}

async fn accounts(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let dids: Vec<&str> = wanted.accounts.iter().map(|did| did.as_str()).collect();
    let found = sqlx::query(include_str!("../../sql/load_accounts.sql")).bind(dids).fetch_all(connection).await?;
    for did in &wanted.accounts {
        overlay.accounts.entry(did.clone()).or_insert(None);
    }
    for row in &found {
        let account = decode::account(row)?;
        // The served generation stands beside it.
        if let Some(id) = account.repo {
            overlay.repos.insert(id, Some(decode::repo(row, id, account.did.clone(), 10)?));
        }
        overlay.accounts.insert(account.did.clone(), Some(account));
    }
    Ok(())
}

async fn names(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let handles: Vec<&str> = wanted.handles.iter().map(|handle| handle.as_str()).collect();
    let emails: Vec<&str> = wanted.emails.iter().map(|email| email.as_str()).collect();
    let sql = include_str!("../../sql/load_names.sql");
    let found = sqlx::query(sql).bind(handles).bind(emails).fetch_all(connection).await?;
    overlay.handles.extend(wanted.handles.iter().map(|handle| (handle.clone(), None)));
    overlay.emails.extend(wanted.emails.iter().map(|email| (email.clone(), None)));
    for row in &found {
        let did: backend_api::Did = row.name(0)?;
        if let Some(handle) = row.optional_name(1)?.filter(|handle| wanted.handles.contains(handle)) {
            overlay.handles.insert(handle, Some(did.clone()));
        }
        if let Some(email) = row.optional_name(2)?.filter(|email| wanted.emails.contains(email)) {
            overlay.emails.insert(email, Some(did.clone()));
        }
    }
    Ok(())
}

async fn repos(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let ids: Vec<i64> = wanted.repos.iter().map(|id| signed(id.0)).collect();
    let found = sqlx::query(include_str!("../../sql/load_repos.sql")).bind(ids).fetch_all(connection).await?;
    for id in &wanted.repos {
        overlay.repos.insert(*id, None);
    }
    for row in &found {
        let id = RepoId(row.number(0)?);
        overlay.repos.insert(id, Some(decode::repo(row, id, row.name(1)?, 2)?));
    }
    Ok(())
}

/// What every commit asks: receipts, records, blocks. One statement, for one round trip.
async fn commits(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let receipts = &wanted.receipts;
    let blocks: Vec<&(RepoId, Cid)> = wanted.blocks.iter().collect();
    let found = sqlx::query(include_str!("../../sql/load_commits.sql"))
        .bind(receipts.iter().map(|(did, _)| did.as_str()).collect::<Vec<&str>>())
        .bind(receipts.iter().map(|(_, key)| key.0).collect::<Vec<[u8; 16]>>())
        .bind(wanted.records.iter().map(|(repo, _)| signed(repo.0)).collect::<Vec<i64>>())
        .bind(wanted.records.iter().map(|(_, path)| path.as_str()).collect::<Vec<&str>>())
        .bind(blocks.iter().map(|(repo, _)| signed(repo.0)).collect::<Vec<i64>>())
        .bind(cid_bytes(blocks.iter().map(|(_, cid)| cid)))
        .fetch_all(connection)
        .await?;
    overlay.receipts.extend(receipts.iter().map(|key| (key.clone(), None)));
    overlay.records.extend(wanted.records.iter().map(|key| (key.clone(), None)));
    for key in &blocks {
        overlay.blocks.entry(**key).or_default().stored = Some(None);
    }
    for row in &found {
        match row.number(0)? {
            0 => {
                let (did, key, receipt) = decode::receipt(row, 1)?;
                overlay.receipts.insert((did, key), Some(receipt));
            }
            1 => {
                let (repo, path) = (RepoId(row.number(4)?), row.name(1)?);
                let (blobs, links) = decode::mentions(row.optional_text(9)?)?;
                let record = RecordRow { cid: row.cid(2)?, pos: row.pos(5)?, blobs, links };
                overlay.records.insert((repo, path), Some(record));
            }
            _ => {
                let key = (RepoId(row.number(4)?), row.cid(2)?);
                let stored = (row.number(5)?, row.number(6)? as u32);
                overlay.blocks.entry(key).or_default().stored = Some(Some(stored));
            }
        }
    }
    Ok(())
}

async fn blobs(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let found = sqlx::query(include_str!("../../sql/load_blobs.sql"))
        .bind(wanted.blobs.iter().map(|(account, _)| signed(account.0)).collect::<Vec<i64>>())
        .bind(cid_bytes(wanted.blobs.iter().map(|(_, cid)| cid)))
        .fetch_all(connection)
        .await?;
    overlay.blobs.extend(wanted.blobs.iter().map(|key| (*key, None)));
    for row in &found {
        let blob = decode::blob(row, 1)?;
        overlay.blobs.insert((AccountId(row.number(0)?), blob.cid), Some(blob));
    }
    Ok(())
}

async fn uses(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    let asked: Vec<_> = wanted.uses.iter().collect();
    let found = sqlx::query(include_str!("../../sql/load_uses.sql"))
        .bind(asked.iter().map(|((repo, _), _)| signed(repo.0)).collect::<Vec<i64>>())
        .bind(cid_bytes(asked.iter().map(|((_, cid), _)| cid)))
        .bind(asked.iter().map(|(_, limit)| **limit as i64).collect::<Vec<i64>>())
        .fetch_all(connection)
        .await?;
    let mut paths = vec![BTreeSet::new(); asked.len()];
    for row in &found {
        // Counted from one.
        let of = usize::try_from(row.number(0)?).ok().and_then(|n| paths.get_mut(n.checked_sub(1)?));
        of.ok_or_else(|| corrupt("uses of a blob that was not asked for"))?.insert(row.name(1)?);
    }
    for ((key, limit), paths) in asked.into_iter().zip(paths) {
        let is_all = paths.len() < *limit;
        let members: &mut Members<_> = overlay.uses.entry(*key).or_default();
        members.stored = Some((paths, is_all));
    }
    Ok(())
}

/// The holders of unique values, with their rows.
async fn uniques(connection: &mut PgConnection, overlay: &mut Overlay, wanted: &Wanted) -> Result<(), Failed> {
    for index in 0..4_u8 {
        let asked: Vec<_> = wanted.uniques.iter().filter(|(_, place, _)| *place == index).collect();
        if asked.is_empty() {
            continue;
        }
        let found = sqlx::query(at_place(include_str!("../../sql/load_unique.sql"), index))
            .bind(asked.iter().map(|(kind, ..)| *kind as i16).collect::<Vec<i16>>())
            .bind(asked.iter().map(|(.., value)| value.as_slice()).collect::<Vec<&[u8]>>())
            .fetch_all(&mut *connection)
            .await?;
        overlay.uniques.extend(asked.into_iter().map(|key| (key.clone(), None)));
        for row in &found {
            let row = decode::row(row)?;
            if let Some(value) = row.unique.get(usize::from(index)) {
                overlay.uniques.insert((row.key.kind, index, value.clone()), Some(row.key.key.clone()));
            }
            if !overlay.rows.contains_key(&row.key) {
                overlay.found_row(row, 0);
            }
        }
    }
    Ok(())
}

async fn rows(
    connection: &mut PgConnection,
    overlay: &mut Overlay,
    wanted: &BTreeMap<RowKey, usize>,
) -> Result<(), Failed> {
    let found = sqlx::query(include_str!("../../sql/load_rows.sql"))
        .bind(wanted.keys().map(|key| key.kind as i16).collect::<Vec<i16>>())
        .bind(wanted.keys().map(|key| key.key.as_slice()).collect::<Vec<&[u8]>>())
        .bind(wanted.values().map(|bytes| *bytes as i32).collect::<Vec<i32>>())
        .fetch_all(connection)
        .await?;
    for key in wanted.keys() {
        overlay.rows.entry(key.clone()).or_insert(None);
    }
    for row in &found {
        let row = decode::row(row)?;
        let bytes = wanted.get(&row.key).copied().unwrap_or(0);
        overlay.found_row(row, bytes);
    }
    Ok(())
}
