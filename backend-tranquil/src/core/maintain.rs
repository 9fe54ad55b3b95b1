//! What a maintenance step does. Exact and conditional, so that it does the same when it is replayed, and nothing to what
//! changed since it was put together.

use backend_api::{Result, Row, View};

use super::shared::Tables;
use crate::format::intent::Maintenance;
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue};
use crate::meta::{BlockChange, Layers, Memtable};

const FORGET: BlockChange = BlockChange { reset: true, delta: 0, place: None, released: 0 };

/// What a step does on top of what was done before it, newest first. After an error nothing of it counts.
pub fn apply(step: &Maintenance, tables: &Tables, before: &[&Memtable]) -> Result<Memtable> {
    let mut done = Memtable::default();
    for (repo, cid, released) in &step.release {
        let block = over(&done, before, tables).block_value(*repo, cid)?;
        if block.is_some_and(|b| b.refs == 0 && b.released == *released) {
            done.block((*repo, *cid), FORGET);
        }
    }
    for (row, at) in &step.expire {
        let stored = over(&done, before, tables).row(row)?;
        if let Some(row) = stored.filter(|row| row.expires_at == Some(*at)) {
            forget_row(&row, tables, before, &mut done)?;
        }
    }
    for key in &step.delete {
        if key.first() == Some(&(Space::Block as u8)) {
            done.block(key::read_block(key)?, FORGET);
        } else {
            done.row(key.clone(), None);
        }
    }
    for (key, value) in &step.put {
        if key.first() == Some(&(Space::Block as u8)) {
            let (id, put) = (key::read_block(key)?, value::decode::<BlockValue>(value, "block")?);
            // What refers to it is as it was: it has only been written again.
            if let Some(known) = over(&done, before, tables).block_value(id.0, &id.1)? {
                let (delta, released) = (known.refs.cast_signed(), known.released);
                done.block(id, BlockChange { reset: true, delta, place: Some(put.place), released });
            }
        } else {
            done.row(key.clone(), Some(value.clone().into()));
        }
    }
    Ok(done)
}

fn over<'a>(done: &'a Memtable, before: &'a [&'a Memtable], tables: &'a Tables) -> Layers<'a> {
    tables.layers_over(std::iter::once(done).chain(before.iter().copied()))
}

fn forget_row(row: &Row, tables: &Tables, before: &[&Memtable], done: &mut Memtable) -> Result<()> {
    let kind = row.key.kind;
    done.row(key::row(&row.key), None);
    for (index, value) in row.unique.iter().enumerate() {
        // The value may have passed to another row since this one expired.
        let holder = over(done, before, tables).row_unique(kind, index as u8, value)?;
        if holder.as_ref() == Some(&row.key.key) {
            done.row(key::row_unique(kind, index as u8, value), None);
        }
    }
    for (index, value) in row.lookup.iter().enumerate() {
        done.row(key::row_lookup(index as u8, value, &row.key), None);
    }
    if let Some(owner) = &row.owner {
        done.row(key::row_owner(owner, &row.key), None);
    }
    if let Some(at) = row.expires_at {
        done.row(key::row_expiry(at, &row.key), None);
    }
    Ok(())
}
