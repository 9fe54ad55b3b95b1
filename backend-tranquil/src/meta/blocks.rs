//! Changes of blocks, by hash, in a map that never grows all at once: to move some hundred thousand entries into a larger
//! table takes a tenth of a second, and whoever commits would wait for it.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use backend_api::{Cid, RepoId};
// Quick, and seeded per process: CIDs can be chosen by those who write them.
use foldhash::fast::RandomState;

use super::memtable::BlockChange;

/// A block of a repo.
pub type BlockId = (RepoId, Cid);

type Part = HashMap<BlockId, BlockChange, RandomState>;

/// Parts of the map of what many cycles gather. Each grows by itself, and holds a few thousand entries at the most.
const PARTS: usize = 256;

/// A map of changes.
pub struct BlockChanges {
    parts: Vec<Part>,
    /// Chooses the part: not by what the parts hash with, or each of them would hold hashes that are alike.
    choice: RandomState,
}

impl Default for BlockChanges {
    /// For what one cycle brings.
    fn default() -> Self {
        Self::with_parts(1)
    }
}

impl BlockChanges {
    /// For what many cycles bring.
    #[must_use]
    pub fn of_many() -> Self {
        Self::with_parts(PARTS)
    }

    fn with_parts(parts: usize) -> Self {
        Self { parts: (0..parts).map(|_| Part::default()).collect(), choice: RandomState::default() }
    }

    fn part(&self, id: &BlockId) -> usize {
        match self.parts.len() {
            1 => 0,
            parts => (self.choice.hash_one(id) % parts as u64) as usize,
        }
    }

    /// What is known of a block.
    #[must_use]
    pub fn get(&self, id: &BlockId) -> Option<&BlockChange> {
        self.parts[self.part(id)].get(id)
    }

    /// Lays a newer change over what is known. True if nothing was.
    pub fn change(&mut self, id: BlockId, newer: BlockChange) -> bool {
        let part = self.part(&id);
        let part = &mut self.parts[part];
        let before = part.len();
        let known = part.entry(id).or_default();
        *known = known.then(newer);
        part.len() > before
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&BlockId, &BlockChange)> {
        self.parts.iter().flatten()
    }

    /// Takes all of them out; their room stays.
    pub fn drain(&mut self) -> impl Iterator<Item = (BlockId, BlockChange)> {
        self.parts.iter_mut().flat_map(Part::drain)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Forgets all of them; their room stays.
    pub fn clear(&mut self) {
        self.parts.iter_mut().for_each(Part::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 50_000;

    /// Blocks whose CIDs differ in their first bytes only, as those may that somebody has chosen.
    fn id(n: usize) -> BlockId {
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        (RepoId(1), Cid::from_parts(backend_api::Codec::DagCbor, digest))
    }

    #[test]
    fn no_single_change_moves_more_than_a_small_part() {
        let mut blocks = BlockChanges::of_many();
        let mut moved_max = 0;
        for n in 0..MANY {
            let part = blocks.part(&id(n));
            let before = (blocks.parts[part].capacity(), blocks.parts[part].len());
            assert!(blocks.change(id(n), BlockChange { delta: 1, ..BlockChange::default() }));
            if blocks.parts[part].capacity() != before.0 {
                moved_max = moved_max.max(before.1);
            }
        }
        assert!((1..MANY / 50).contains(&moved_max), "{moved_max} of {MANY}");
        assert_eq!(blocks.len(), MANY);
        assert!((0..MANY).all(|n| blocks.get(&id(n)).is_some_and(|known| known.delta == 1)));
        assert_eq!(blocks.get(&id(MANY)), None);
    }

    #[test]
    fn changes_of_a_block_are_one() {
        for mut blocks in [BlockChanges::default(), BlockChanges::of_many()] {
            for (delta, is_new) in [(1, true), (2, false), (-1, false)] {
                assert_eq!(blocks.change(id(1), BlockChange { delta, ..BlockChange::default() }), is_new);
            }
            blocks.change(id(2), BlockChange::default());
            let mut all: Vec<_> = blocks.iter().map(|(id, change)| (*id, change.delta)).collect();
            all.sort_unstable();
            assert_eq!(all, [(id(1), 2), (id(2), 0)]);
            assert_eq!((blocks.drain().count(), blocks.len()), (2, 0));
            blocks.change(id(3), BlockChange::default());
            blocks.clear();
            assert_eq!((blocks.len(), blocks.iter().count()), (0, 0));
        }
    }
}
