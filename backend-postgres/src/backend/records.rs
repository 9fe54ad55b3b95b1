use async_trait::async_trait;
use backend_api::{Did, Link, Nsid, Page, Record, RecordKey, RecordPath, RecordQuery, Records, Result};
use bytes::Bytes;
use sqlx::postgres::PgRow;

use super::{Postgres, bound, one_more, page};
use crate::types::{Columns as _, corrupt};

#[async_trait]
impl Records for Postgres {
    async fn record(&self, did: &Did, path: &RecordPath) -> Result<Option<Record>> {
        let query = || sqlx::query(include_str!("../../sql/record.sql")).bind(did.as_str()).bind(path.as_str());
        self.shared.row("read a record", query).await?.as_ref().map(record).transpose()
    }

    async fn records(&self, did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>> {
        let limit = bound(query.limit)?;
        let (first, end) = range(&query.collection);
        let after = query.after.as_ref().map(|rkey| RecordPath::new(&query.collection, rkey).into_string());
        let (from, to) = match (query.reverse, after) {
            (_, None) => (first, end),
            (false, Some(after)) => (after, end),
            (true, Some(after)) => (first, after),
        };
        let sql = if query.reverse {
            include_str!("../../sql/records_reversed.sql")
        } else {
            include_str!("../../sql/records.sql")
        };
        let query = || sqlx::query(sql).bind(did.as_str()).bind(&from).bind(&to).bind(one_more(limit));
        let rows = self.shared.rows("list records", query).await?;
        let items = rows.iter().take(limit).map(record).collect::<Result<Vec<_>>>()?;
        let next = items.last().filter(|_| rows.len() > limit).map(|record| record.path.rkey().parse()).transpose()?;
        Ok(Page { items, next })
    }

    async fn collections(&self, did: &Did) -> Result<Vec<Nsid>> {
        let query = || sqlx::query(include_str!("../../sql/collections.sql")).bind(did.as_str());
        self.shared.rows("list collections", query).await?.iter().map(|row| row.name(0)).collect()
    }

    async fn linking(&self, did: &Did, collection: &Nsid, link: &Link, limit: usize) -> Result<Vec<RecordPath>> {
        let limit = bound(limit)?;
        let (first, end) = range(collection);
        let query = || {
            sqlx::query(include_str!("../../sql/linking.sql"))
                .bind(did.as_str())
                .bind(crate::link::digest(link))
                .bind(&first)
                .bind(&end)
                .bind(limit as i64)
        };
        let rows = self.shared.rows("look for a link", query).await?;
        Ok(page(rows.iter().map(|row| row.name(0)).collect::<Result<_>>()?, limit, |_| ()).items)
    }
}

/// Before and behind all paths of a collection: `0` follows `/`.
fn range(collection: &Nsid) -> (String, String) {
    (format!("{collection}/"), format!("{collection}0"))
}

fn record(row: &PgRow) -> Result<Record> {
    let (path, cid): (RecordPath, _) = (row.name(0)?, row.cid(1)?);
    let bytes =
        row.optional_bytes(2)?.ok_or_else(|| corrupt(format!("record {path}: its block {cid} is not there")))?;
    if !cid.matches(bytes) {
        return Err(corrupt(format!("record {path}: the bytes of block {cid} hash to another CID")));
    }
    Ok(Record { path, cid, bytes: Bytes::copy_from_slice(bytes) })
}
