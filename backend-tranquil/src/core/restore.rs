//! Blocks that are written again, because their bytes are damaged where they stand.

use backend_api::{Block, Micros, RepoId};

use super::committer::Answer;
use super::draft::{Draft, nothing};
use super::maintain;
use super::shared::{Shared, Tables};
use crate::format::intent::Maintenance;
use crate::format::key;
use crate::format::value::{self, BlockValue};
use crate::meta::Memtable;

/// A block, and a generation that has it.
pub struct Restored {
    pub repo: RepoId,
    pub block: Block,
}

impl Draft {
    /// Appends blocks, and behind them a step that says where they are now. A generation that has one of them no more is
    /// left as it is.
    pub(super) fn restore(
        &mut self,
        shared: &Shared,
        tables: &Tables,
        below: &[&Memtable],
        restored: &[Restored],
    ) -> Answer {
        self.admit(shared, tables, false)?;
        let blocks: Vec<Block> = restored.iter().map(|r| r.block.clone()).collect();
        let places = self.cycle.places(&blocks);
        // Nothing is forgotten or changed by it: no time passes for what comes after.
        let mut step = Maintenance { at: Micros(self.last.at), ..Maintenance::default() };
        for (Restored { repo, block }, place) in restored.iter().zip(places) {
            // Only the place is taken of it.
            let value = value::encode(&BlockValue { refs: 0, place, released: 0 });
            step.put.push((key::block(*repo, &block.cid()).to_vec(), value));
        }
        let mut done = maintain::apply(&step, tables, &[&[&self.pending], below].concat())?;
        self.pending.absorb(&mut done);
        self.cycle.blocks(&blocks);
        self.cycle.maintenance(&step);
        self.spared = false;
        Ok(nothing())
    }
}
