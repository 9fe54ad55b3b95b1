use async_trait::async_trait;
use backend_api::limits::{ROW_INDEXES_MAX, ROW_KEY_BYTES_MAX};
use backend_api::{Page, Result, Row, RowKey, RowKind, RowScope, Rows};

use super::{Postgres, bound, one_more, page};
use crate::decode;
use crate::sql::{Query, at_place};
use crate::types::Time;

#[async_trait]
impl Rows for Postgres {
    async fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        let query = || self.now(sqlx::query(include_str!("../../sql/row.sql"))).bind(key.kind as i16).bind(&key.key);
        self.shared.row("read a row", query).await?.as_ref().map(decode::row).transpose()
    }

    async fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Row>> {
        self.shared.is_open()?;
        if usize::from(index) >= ROW_INDEXES_MAX {
            return Ok(None);
        }
        let sql = || at_place(include_str!("../../sql/row_unique.sql"), index);
        let query = || self.now(sqlx::query(sql())).bind(kind as i16).bind(value);
        self.shared.row("read a row", query).await?.as_ref().map(decode::row).transpose()
    }

    async fn rows(&self, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>> {
        self.shared.is_open()?;
        let limit = bound(limit)?;
        let none = Ok(Page { items: Vec::new(), next: None });
        let rows = match scope {
            RowScope::Kind(kind) => self.in_range(*kind, &[], after, limit).await?,
            RowScope::Prefix(kind, prefix) => self.in_range(*kind, prefix, after, limit).await?,
            RowScope::Owner(did) => {
                let (kind, key) = after.map_or((0, &[][..]), |after| (after.kind as i16, &after.key));
                let query = || {
                    let query = self.now(sqlx::query(include_str!("../../sql/rows_of_owner.sql")));
                    query.bind(did.as_str()).bind(kind).bind(key).bind(one_more(limit))
                };
                self.shared.rows("list rows", query).await?
            }
            RowScope::Lookup { index, .. } if usize::from(*index) >= ROW_INDEXES_MAX => return none,
            RowScope::Lookup { kind, index, value } => {
                let Some(after) = key_after(*kind, after) else { return none };
                let sql = || at_place(include_str!("../../sql/rows_by_lookup.sql"), *index);
                let query =
                    || self.now(sqlx::query(sql())).bind(*kind as i16).bind(value).bind(after).bind(one_more(limit));
                self.shared.rows("list rows", query).await?
            }
        };
        Ok(page(rows.iter().map(decode::row).collect::<Result<Vec<_>>>()?, limit, |row| row.key.clone()))
    }
}

impl Postgres {
    /// Binds the clock's time: an expired row is not there. The statement compares it with the store's own.
    fn now<'q>(&self, query: Query<'q>) -> Query<'q> {
        query.bind(Time(self.shared.options.clock.now()))
    }

    async fn in_range(
        &self,
        kind: RowKind,
        prefix: &[u8],
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<sqlx::postgres::PgRow>> {
        let Some(after) = key_after(kind, after) else { return Ok(Vec::new()) };
        let end = end_of(prefix);
        let query = || {
            let query = self.now(sqlx::query(include_str!("../../sql/rows_in_range.sql")));
            query.bind(kind as i16).bind(after).bind(prefix).bind(&end).bind(one_more(limit))
        };
        self.shared.rows("list rows", query).await
    }
}

/// The key to go on after within one kind; `None` if the kind lies before the cursor. No key is empty.
fn key_after(kind: RowKind, after: Option<&RowKey>) -> Option<&[u8]> {
    match after {
        None => Some(&[]),
        Some(after) if after.kind < kind => Some(&[]),
        Some(after) if after.kind == kind => Some(&after.key),
        Some(_) => None,
    }
}

/// What comes behind all keys with a prefix.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; ROW_KEY_BYTES_MAX + 1]
}
