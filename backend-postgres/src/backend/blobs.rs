use async_trait::async_trait;
use backend_api::{Blob, Blobs, Cid, Did, Micros, MissingBlob, Page, RecordPath, Result};
use sqlx::postgres::PgRow;

use super::{Postgres, bound, one_more, page};
use crate::decode;
use crate::types::{Columns as _, Time};

/// The binary form of a cursor; before every CID if there is none.
fn after_cid(after: Option<&Cid>) -> Vec<u8> {
    after.map(|cid| cid.to_bytes().to_vec()).unwrap_or_default()
}

fn blob(row: &PgRow) -> Result<Blob> {
    decode::blob(row, 0)
}

#[async_trait]
impl Blobs for Postgres {
    async fn blob(&self, did: &Did, cid: &Cid) -> Result<Option<Blob>> {
        let query = || sqlx::query(include_str!("../../sql/blob.sql")).bind(did.as_str()).bind(cid.to_bytes());
        self.shared.row("read a blob", query).await?.as_ref().map(blob).transpose()
    }

    async fn blobs(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<Blob, Cid>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/blobs.sql"));
            query.bind(did.as_str()).bind(after_cid(after)).bind(one_more(limit))
        };
        let rows = self.shared.rows("list blobs", query).await?;
        Ok(page(rows.iter().map(blob).collect::<Result<Vec<_>>>()?, limit, |blob| blob.cid))
    }

    async fn blob_uses(&self, did: &Did, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/blob_uses.sql"));
            query.bind(did.as_str()).bind(cid.to_bytes()).bind(limit as i64)
        };
        self.shared.rows("list uses of a blob", query).await?.iter().map(|row| row.name(0)).collect()
    }

    async fn blobs_missing(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/blobs_missing.sql"));
            query.bind(did.as_str()).bind(after_cid(after)).bind(one_more(limit))
        };
        let rows = self.shared.rows("list missing blobs", query).await?;
        let missing = |row: &PgRow| Ok(MissingBlob { cid: row.cid(0)?, path: row.name(1)? });
        Ok(page(rows.iter().map(missing).collect::<Result<Vec<_>>>()?, limit, |missing| missing.cid))
    }

    async fn blobs_unused(&self, did: &Did, put_before: Micros, limit: usize) -> Result<Vec<Blob>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/blobs_unused.sql"));
            query.bind(did.as_str()).bind(Time(put_before)).bind(limit as i64)
        };
        self.shared.rows("list unused blobs", query).await?.iter().map(blob).collect()
    }
}
