//! Writes rows of the long tail.

use backend_api::Row;
use sqlx::postgres::PgConnection;

use super::fold::Fold;
use super::overlay::Overlay;
use crate::decode;
use crate::types::{Time, signed};

/// Deletes the rows that are gone, and writes those that are there.
pub(super) async fn save_rows(connection: &mut PgConnection, overlay: &Overlay, fold: &Fold) -> sqlx::Result<()> {
    let state = |key| overlay.rows.get(key).and_then(Option::as_ref);
    let gone: Vec<_> = fold.rows.iter().filter(|key| state(*key).is_none()).collect();
    let there: Vec<&Row> = fold.rows.iter().filter_map(state).collect();
    if !gone.is_empty() {
        sqlx::query(include_str!("../../sql/delete_rows.sql"))
            .bind(gone.iter().map(|key| key.kind as i16).collect::<Vec<i16>>())
            .bind(gone.iter().map(|key| &*key.key).collect::<Vec<&[u8]>>())
            .execute(&mut *connection)
            .await?;
    }
    if there.is_empty() {
        return Ok(());
    }
    let owner = |row: &Row| {
        let account = overlay.accounts.get(row.owner.as_ref()?)?.as_ref()?;
        Some(signed(account.id.0))
    };
    let unique = |i: usize| there.iter().map(|row| row.unique.get(i).map(Vec::as_slice)).collect::<Vec<_>>();
    let lookup = |i: usize| there.iter().map(|row| row.lookup.get(i).map(Vec::as_slice)).collect::<Vec<_>>();
    sqlx::query(include_str!("../../sql/write_rows.sql"))
        .bind(there.iter().map(|row| row.key.kind as i16).collect::<Vec<i16>>())
        .bind(there.iter().map(|row| &*row.key.key).collect::<Vec<&[u8]>>())
        .bind(there.iter().map(|row| owner(row)).collect::<Vec<Option<i64>>>())
        .bind(unique(0))
        .bind(unique(1))
        .bind(unique(2))
        .bind(unique(3))
        .bind(lookup(0))
        .bind(lookup(1))
        .bind(lookup(2))
        .bind(lookup(3))
        .bind(there.iter().map(|row| row.expires_at.map(Time)).collect::<Vec<Option<Time>>>())
        .bind(there.iter().map(|row| &*row.body).collect::<Vec<&[u8]>>())
        .bind(there.iter().map(|row| decode::json_text(&row.body)).collect::<Vec<Option<String>>>())
        .execute(connection)
        .await
        .map(drop)
}
