//! Rows: put, delete, take once, and their indexes.

use crate::effect::Effect;
use crate::error::{Error, Reason, Result};
use crate::limits::MUTATION_OPS_BYTES_MAX;
use crate::row::{Expect, Row, RowKey, RowKind};
use crate::view::View;

use super::draft::Draft;

pub(super) fn put<V: View + ?Sized>(draft: &mut Draft<'_, V>, row: &Row, expect: &Expect) -> Result<()> {
    if row.owner.is_some() {
        draft.account()?;
    }
    let before = draft.row(&row.key)?;
    may_touch(draft, before.as_ref(), expect)?;
    for (index, value) in row.unique.iter().enumerate() {
        claim(draft, &row.key, index as u8, value)?;
    }
    draft.set_row(row.key.clone(), Some(row.clone()));
    Ok(())
}

pub(super) fn delete<V: View + ?Sized>(draft: &mut Draft<'_, V>, key: &RowKey, expect: &Expect) -> Result<()> {
    let before = draft.row(key)?;
    may_touch(draft, before.as_ref(), expect)?;
    if before.is_some() {
        draft.set_row(key.clone(), None);
    }
    Ok(())
}

pub(super) fn take<V: View + ?Sized>(draft: &mut Draft<'_, V>, key: &RowKey) -> Result<()> {
    let before = draft.row(key)?;
    may_touch(draft, before.as_ref(), &Expect::Any)?;
    let Some(row) = before.filter(|row| row.is_live(draft.stamp.at)) else {
        return Err(Error::new(Reason::RowMissing, format!("no {:?} row with that key", key.kind)));
    };
    draft.set_row(key.clone(), None);
    draft.taken.push(row);
    let bytes: usize = draft.taken.iter().map(|row| row.body.len()).sum();
    if bytes > MUTATION_OPS_BYTES_MAX {
        let detail = format!("bytes of the rows taken: {bytes} is more than {MUTATION_OPS_BYTES_MAX}");
        return Err(Error::new(Reason::TooLarge, detail));
    }
    Ok(())
}

fn may_touch<V: View + ?Sized>(draft: &Draft<'_, V>, before: Option<&Row>, expect: &Expect) -> Result<()> {
    let live = before.filter(|row| row.is_live(draft.stamp.at));
    if let Some(owner) = live.and_then(|row| row.owner.as_ref())
        && owner != draft.did()
    {
        let detail = format!("the row belongs to another account than {}", draft.did());
        return Err(Error::new(Reason::RowMismatch, detail));
    }
    match (expect, live) {
        (Expect::Any, _) | (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(row)) => {
            Err(Error::new(Reason::RowExists, format!("a {:?} row with that key exists", row.key.kind)))
        }
        (Expect::Body(_), None) => Err(Error::new(Reason::RowMissing, "no row with that key")),
        (Expect::Body(body), Some(row)) if *body == row.body => Ok(()),
        (Expect::Body(_), Some(_)) => Err(Error::new(Reason::RowMismatch, "the row has another body")),
    }
}

/// A unique value may be claimed if no other live row has it. An expired one that has it goes.
fn claim<V: View + ?Sized>(draft: &mut Draft<'_, V>, key: &RowKey, index: u8, value: &[u8]) -> Result<()> {
    for holder in holders(draft, key.kind, index, value)? {
        if holder == *key {
            continue;
        }
        if draft.row(&holder)?.is_some_and(|row| row.is_live(draft.stamp.at)) {
            let detail = format!("unique[{index}]: another {:?} row has this value", key.kind);
            return Err(Error::new(Reason::RowNotUnique, detail));
        }
        draft.set_row(holder, None);
    }
    Ok(())
}

/// The rows that have a unique value now: the stored one, unless this mutation changed it, and those that it put.
fn holders<V: View + ?Sized>(draft: &Draft<'_, V>, kind: RowKind, index: u8, value: &[u8]) -> Result<Vec<RowKey>> {
    let has = |row: &Row| row.unique.get(usize::from(index)).is_some_and(|v| v == value);
    let mut out: Vec<RowKey> = draft
        .touched_rows()
        .filter(|(key, row)| key.kind == kind && row.as_ref().is_some_and(has))
        .map(|(key, _)| key.clone())
        .collect();
    if let Some(key) = draft.view.row_unique(kind, index, value)? {
        let key = RowKey { kind, key };
        if !out.contains(&key) && draft.row(&key)?.as_ref().is_some_and(has) {
            out.push(key);
        }
    }
    Ok(out)
}

/// The index entries of a row, put or deleted.
pub(super) fn indexes(row: &Row, there: bool, out: &mut Vec<Effect>) {
    let kind = row.key.kind;
    for (index, value) in row.unique.iter().enumerate() {
        let key = there.then(|| row.key.key.clone());
        out.push(Effect::RowUnique { kind, index: index as u8, value: value.clone(), key });
    }
    for (index, value) in row.lookup.iter().enumerate() {
        out.push(Effect::RowLookup { index: index as u8, value: value.clone(), key: row.key.clone(), there });
    }
    out.extend(row.owner.iter().map(|owner| Effect::RowOwner(owner.clone(), row.key.clone(), there)));
    out.extend(row.expires_at.iter().map(|at| Effect::RowExpiry(*at, row.key.clone(), there)));
}
