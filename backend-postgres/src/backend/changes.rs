use async_trait::async_trait;
use backend_api::{Change, Changes, Error, Pos, Reason, Result};

use super::{Postgres, bound};
use crate::decode;
use crate::types::{Columns as _, corrupt, signed};

#[async_trait]
impl Changes for Postgres {
    async fn position(&self) -> Result<Pos> {
        let query = || sqlx::query("SELECT pos, seq FROM store ORDER BY turn DESC LIMIT 1");
        let rows = self.shared.rows_of_now("read the position", 1, query).await?;
        rows.first().ok_or_else(|| corrupt("the table `store` has no row"))?.pos(0)
    }

    async fn changes(&self, after: Pos, limit: usize, bytes_max: usize) -> Result<Vec<Change>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/changes.sql"));
            query.bind(signed(after.0)).bind(limit as i64).bind(signed(bytes_max as u64))
        };
        let rows = self.shared.rows_of_now("read changes", 6, query).await?;
        let store = rows.first().ok_or_else(|| corrupt("the table `store` has no row"))?;
        let kept_after = store.optional_number(5)?.unwrap_or(store.number(4)?);
        if after.0 < kept_after {
            let detail = format!(
                "changes after {after}: what is kept begins after {kept_after}; register a slot before reading"
            );
            return Err(Error::new(Reason::CursorGone, detail));
        }
        if store.optional_number(0)?.is_none() {
            return Ok(Vec::new());
        }
        rows.iter().map(decode::change).collect()
    }
}
