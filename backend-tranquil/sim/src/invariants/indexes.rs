//! *No index has more, or less, than what it leads to.* After a full sweep there is one entry for each handle, address, look-up
//! value, owner and expiry of what is there, and none of what is gone: such an entry is read by nobody, and would stay for
//! ever.
//!
//! Why: an entry is put and deleted by the same effects as what it leads to, and a sweep lists each space of keys of its own.
//! Here nothing is asked of the engine but a snapshot: entries are counted by the first byte of their keys in the store.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::SnapshotItem;

use super::{Held, Violation};

const BLOB_USE: u8 = 0x51;
const LINK: u8 = 0x52;
/// A key of a generation: its space, its number.
const GENERATION_BYTES: usize = 1 + 8;
/// A key of a blob's use: that, and a CID before the record's path.
const PATH_AT: usize = GENERATION_BYTES + 33;

/// The keys of the drained store against the items of a snapshot.
///
/// # Errors
/// For an index with another number of entries than what is there has, or one of a record that is not.
pub fn check<'a>(items: &[SnapshotItem], keys: impl Iterator<Item = &'a [u8]>) -> Held {
    let (mut expected, mut records, mut generations) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut add = |space: u8, count: usize| *expected.entry(space).or_insert(0) += count;
    for item in items {
        match item {
            SnapshotItem::Account(account) => {
                add(0x11, usize::from(account.handle.is_some()));
                add(0x12, usize::from(account.email.is_some()));
            }
            SnapshotItem::Row(row) => {
                add(0x61, row.unique.len());
                add(0x62, row.lookup.len());
                add(0x63, usize::from(row.owner.is_some()));
                add(0x64, usize::from(row.expires_at.is_some()));
            }
            SnapshotItem::Repo(repo) => drop(generations.insert(repo.id.0)),
            SnapshotItem::Record(repo, path, _) => drop(records.insert((repo.0, path.as_str().as_bytes()))),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for key in keys {
        let generation = key.get(1..GENERATION_BYTES).and_then(|id| id.try_into().ok()).map_or(0, u64::from_be_bytes);
        let leads = match key[0] {
            0x11 | 0x12 | 0x61..=0x64 => {
                *found.entry(key[0]).or_insert(0) += 1;
                true
            }
            BLOB_USE => key.get(PATH_AT..).is_some_and(|path| records.contains(&(generation, path))),
            LINK => generations.contains(&generation),
            _ => true,
        };
        if !leads {
            return Err(Violation::new("indexes", format!("an entry leads to nothing: {key:02x?}")));
        }
    }
    expected.retain(|_, count| *count > 0);
    if found == expected {
        return Ok(());
    }
    Err(Violation::new("indexes", format!("entries by space: {found:02x?}, and there are {expected:02x?} to lead to")))
}
