//! Rows.

use async_trait::async_trait;
use backend_api::{Page, Result, Row, RowKey, RowKind, RowScope, Rows};

use super::Model;
use super::page::page;

#[async_trait]
impl Rows for Model {
    async fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        let state = self.state()?;
        let now = self.now(&state);
        Ok(state.rows.get(key).filter(|row| row.is_live(now)).cloned())
    }

    async fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Row>> {
        let state = self.state()?;
        let now = self.now(&state);
        let Some(key) = state.row_uniques.get(&(kind, index, value.to_vec())) else { return Ok(None) };
        Ok(state.rows.get(&RowKey { kind, key: key.clone() }).filter(|row| row.is_live(now)).cloned())
    }

    async fn rows(&self, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>> {
        let state = self.state()?;
        let now = self.now(&state);
        let rows = state
            .rows
            .values()
            .filter(|row| after.is_none_or(|after| row.key > *after) && row.is_live(now) && is_in(scope, row));
        page(rows.cloned(), limit, |row| row.key.clone())
    }
}

fn is_in(scope: &RowScope, row: &Row) -> bool {
    match scope {
        RowScope::Kind(kind) => row.key.kind == *kind,
        RowScope::Prefix(kind, prefix) => row.key.kind == *kind && row.key.key.starts_with(prefix),
        RowScope::Owner(did) => row.owner.as_ref() == Some(did),
        RowScope::Lookup { kind, index, value } => {
            row.key.kind == *kind && row.lookup.get(usize::from(*index)).is_some_and(|found| found == value)
        }
    }
}
