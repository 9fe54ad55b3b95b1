//! Rows of the long tail, as statements.

use backend_api::Row;

use super::fold::Fold;
use super::overlay::Overlay;
use crate::decode;
use crate::sql::Query;
use crate::types::{Time, signed};

/// Deletes the rows that are gone, and writes those that are there.
pub(super) fn save_rows(to: &mut Vec<Query<'static>>, overlay: &Overlay, fold: &Fold) {
    let state = |key| overlay.rows.get(key).and_then(Option::as_ref);
    let gone: Vec<_> = fold.rows.iter().filter(|key| state(*key).is_none()).collect();
    let there: Vec<&Row> = fold.rows.iter().filter_map(state).collect();
    if !gone.is_empty() {
        to.push(
            sqlx::query(include_str!("../../sql/delete_rows.sql"))
                .bind(gone.iter().map(|key| key.kind as i16).collect::<Vec<i16>>())
                .bind(gone.iter().map(|key| &*key.key).collect::<Vec<&[u8]>>()),
        );
    }
    if there.is_empty() {
        return;
    }
    let owner = |row: &Row| {
        let account = overlay.accounts.get(row.owner.as_ref()?)?.as_ref()?;
        Some(signed(account.id.0))
    };
    let unique = |i: usize| there.iter().map(|row| row.unique.get(i).map(Vec::as_slice)).collect::<Vec<_>>();
    let lookup = |i: usize| there.iter().map(|row| row.lookup.get(i).map(Vec::as_slice)).collect::<Vec<_>>();
    to.push(
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
            .bind(there.iter().map(|row| decode::json_text(&row.body)).collect::<Vec<Option<String>>>()),
    );
}
