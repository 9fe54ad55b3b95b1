//! What was committed and is not in the key-value store yet.

use bytes::Bytes;

use super::blocks::{BlockChanges, BlockId};
use super::rows::Rows;
use crate::format::key::Key;
use crate::format::value::{BlockValue, Place};

/// What a memtable knows of a block: a difference to what lies below it, so that a new block needs no look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockChange {
    /// What lies below does not count: the block was forgotten since.
    pub reset: bool,
    /// Added to the count below.
    pub delta: i64,
    /// Where its bytes are, if it was supplied. What lies below goes first: its bytes were there before.
    pub place: Option<Place>,
    /// The last release, if there was one.
    pub released: u64,
}

impl BlockChange {
    /// Lays a newer change over this one.
    #[must_use]
    pub fn then(self, newer: Self) -> Self {
        if newer.reset {
            return newer;
        }
        Self {
            reset: self.reset,
            delta: self.delta + newer.delta,
            place: self.place.or(newer.place),
            released: self.released.max(newer.released),
        }
    }

    /// The value that results over what lies below. `None`: not there. `Err`: a count below zero, or a count without
    /// bytes, which no sequence of accepted mutations leads to.
    pub fn over(self, below: Option<BlockValue>) -> Result<Option<BlockValue>, &'static str> {
        let below = below.filter(|_| !self.reset);
        let refs = below.map_or(0, |b| b.refs).checked_add_signed(self.delta).ok_or("a count below zero")?;
        let Some(place) = below.map(|b| b.place).or(self.place) else {
            return if refs == 0 { Ok(None) } else { Err("a count without bytes") };
        };
        Ok(Some(BlockValue { refs, place, released: below.map_or(0, |b| b.released).max(self.released) }))
    }
}

/// Blocks by hash, everything else in order. Blocks are nine in ten of what a commit touches and are never listed from
/// here; they are sorted once, at the drain.
#[derive(Default)]
pub struct Memtable {
    /// Changes of blocks.
    pub blocks: BlockChanges,
    /// Puts, and deletes as `None`.
    pub rows: Rows,
    bytes: usize,
}

/// What an entry costs besides its key and value: map overhead and allocations, measured roughly.
const ENTRY_BYTES: usize = 64;

impl Memtable {
    /// An empty table of so many bytes that many cycles are gathered in.
    #[must_use]
    pub fn of_many(bytes: usize) -> Self {
        Self { blocks: BlockChanges::of_many(), rows: Rows::of_many(bytes), bytes: 0 }
    }

    /// Lays a newer change of a block over what is known here.
    pub fn block(&mut self, id: BlockId, change: BlockChange) {
        if self.blocks.change(id, change) {
            self.bytes += size_of::<(BlockId, BlockChange)>() * 2;
        }
    }

    /// Puts or deletes a row.
    pub fn row(&mut self, key: Key, value: Option<Bytes>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
        self.rows.insert(key, value);
    }

    /// Lays all of a newer table over this one, and leaves it empty, with its room.
    pub fn absorb(&mut self, newer: &mut Self) {
        for (id, change) in newer.blocks.drain() {
            self.block(id, change);
        }
        for (key, value) in std::mem::take(&mut newer.rows).into_entries() {
            self.row(key, value);
        }
        newer.bytes = 0;
    }

    /// Empties the table; its room stays.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.rows = Rows::default();
        self.bytes = 0;
    }

    /// Memory, roughly, and never less than what was put in.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { file: 1, offset: 64, len: 5 };

    fn change(delta: i64, place: Option<Place>, released: u64) -> BlockChange {
        BlockChange { reset: false, delta, place, released }
    }

    #[test]
    fn changes_add_up_over_what_lies_below() {
        let other = Place { file: 2, ..PLACE };
        let below = BlockValue { refs: 2, place: PLACE, released: 3 };
        let sum = change(1, Some(other), 0).then(change(-2, None, 9));
        assert_eq!(sum.over(Some(below)), Ok(Some(BlockValue { refs: 1, place: PLACE, released: 9 })));
        assert_eq!(sum.over(None), Err("a count below zero"));
        assert_eq!(change(1, None, 0).over(None), Err("a count without bytes"));
        assert_eq!(change(0, None, 4).over(None), Ok(None));
    }

    #[test]
    fn a_forgotten_block_hides_what_lies_below() {
        let below = BlockValue { refs: 0, place: PLACE, released: 3 };
        let gone = change(0, None, 3).then(BlockChange { reset: true, ..BlockChange::default() });
        assert_eq!(gone.over(Some(below)), Ok(None));
        let again = Place { file: 9, ..PLACE };
        let back = gone.then(change(1, Some(again), 0));
        assert_eq!(back.over(Some(below)), Ok(Some(BlockValue { refs: 1, place: again, released: 0 })));
    }
}
