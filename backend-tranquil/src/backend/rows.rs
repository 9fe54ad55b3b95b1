use async_trait::async_trait;
use backend_api::{Micros, Page, Result, Row, RowKey, RowKind, RowScope, Rows, View as _};
use bytes::Bytes;

use super::{Tranquil, page};
use crate::core::Shared;
use crate::format::key::{self, Key};
use crate::format::value;
use crate::meta::{Layers, Scan};

#[async_trait]
impl Rows for Tranquil {
    async fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        let key = key.clone();
        let row = self.point(move |layers| layers.row(&key)).await?;
        Ok(row.filter(|row| row.is_live(self.shared.now())))
    }

    async fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Row>> {
        let value = value.to_vec();
        let read = move |layers: &Layers<'_>| match layers.row_unique(kind, index, &value)? {
            Some(key) => layers.row(&RowKey { kind, key }),
            None => Ok(None),
        };
        let row = self.point(read).await?;
        Ok(row.filter(|row| row.is_live(self.shared.now())))
    }

    async fn rows(&self, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>> {
        let limit = page(limit)?;
        let (scope, after) = (scope.clone(), after.cloned());
        self.read(move |shared| rows(shared, &scope, after.as_ref(), limit)).await
    }
}

/// The keys of a scope: where they start, where the row's name stands in them, and where a given row stands.
fn place(scope: &RowScope, after: Option<&RowKey>) -> (Key, Option<Key>) {
    match scope {
        RowScope::Kind(kind) => (key::rows(*kind, &[]), after.map(key::row)),
        RowScope::Prefix(kind, prefix) => (key::rows(*kind, prefix), after.map(key::row)),
        RowScope::Owner(did) => (key::rows_owned(did), after.map(|row| key::row_owner(did, row))),
        RowScope::Lookup { kind, index, value } => {
            (key::row_lookups(*kind, *index, value), after.map(|row| key::row_lookup(*index, value, row)))
        }
    }
}

fn row_of(shared: &Shared, scope: &RowScope, start: usize, key: &[u8], bytes: &Bytes) -> Result<Option<Row>> {
    let name = match scope {
        RowScope::Kind(_) | RowScope::Prefix(..) => return value::decode(bytes, "row").map(Some),
        RowScope::Owner(_) => key::read_row(key, start)?,
        RowScope::Lookup { kind, .. } => RowKey { kind: *kind, key: key[start..].to_vec() },
    };
    shared.value(&key::row(&name), "row")
}

fn rows(shared: &Shared, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>> {
    let now: Micros = shared.now();
    let (prefix, after) = place(scope, after);
    // A cursor before the scope, of another prefix or kind, is before all of it.
    let mut after = after.filter(|after| after[..] > prefix[..]);
    let mut items: Vec<Row> = Vec::new();
    loop {
        let what = Scan::prefix(prefix.clone(), limit + 1 - items.len()).after(after);
        let (found, more) = shared.scan(&what)?;
        after = found.last().map(|(key, _)| key.to_vec());
        for (key, bytes) in &found {
            let row = row_of(shared, scope, prefix.len(), key, bytes)?;
            items.extend(row.filter(|row| row.is_live(now)));
        }
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|r| r.key.clone());
            return Ok(Page { items, next });
        }
        if !more {
            return Ok(Page { items, next: None });
        }
    }
}
