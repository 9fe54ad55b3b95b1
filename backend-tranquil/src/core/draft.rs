//! A cycle while it is planned: what is taken, refused, and written for it.

use std::sync::Arc;

use backend_api::{
    Checked, Cid, Effect, Effects, EventFrame, Micros, Plan, Pos, Receipt, RepoId, Result, Seq, Stamp, View, plan,
};
use bytes::Bytes;

use super::committer::{Answer, Job};
use super::maintain;
use super::shared::{Shared, Tables};
use super::space::goes_on;
use crate::format::intent::Maintenance;
use crate::format::value::Mark;
use crate::log::Cycle;
use crate::meta::{Memtable, encode_effects};

/// On a full disk a memtable may grow by this part more, for what goes on.
const BONUS_PART: usize = 2;

/// What a cycle holds so far.
pub(super) struct Draft {
    pub cycle: Cycle,
    pub pending: Memtable,
    pub events: Vec<EventFrame>,
    /// The newest numbers given out.
    pub last: Mark,
    pub taken: u64,
    /// Nothing in it but what goes on when the disk is full.
    pub spared: bool,
    pub freeze_wanted: bool,
}

impl Draft {
    /// Plans jobs one after the other, on top of cycles that are not durable yet, newest first.
    pub fn plan(&mut self, shared: &Arc<Shared>, below: &[&Memtable], jobs: &[Job]) -> Vec<Answer> {
        let tables = shared.tables();
        jobs.iter().map(|job| self.job(shared, &tables, below, job)).collect()
    }

    fn job(&mut self, shared: &Shared, tables: &Tables, below: &[&Memtable], job: &Job) -> Answer {
        match job {
            Job::Mutation(checked) => self.mutation(shared, tables, below, checked),
            Job::Maintenance(step) => self.maintenance(shared, tables, below, step),
            Job::Restore(blocks) => self.restore(shared, tables, below, blocks),
            Job::Freeze => {
                self.freeze_wanted = true;
                Ok(nothing())
            }
            Job::Touch => Ok(nothing()),
        }
    }

    /// Whether a job is taken now. On a full disk only what goes on is, as far as memory holds it: it may be long until
    /// the next drain.
    pub(super) fn admit(&self, shared: &Shared, tables: &Tables, goes_on: bool) -> Result<()> {
        if !shared.space.is_full() {
            return Ok(());
        }
        let held = tables.active.bytes() + self.pending.bytes();
        let max = shared.options.memtable_bytes_max;
        let waits = shared.events.waiting_bytes() + self.events.iter().map(|e| e.frame.len()).sum::<usize>();
        let holds = !shared.space.is_stuck() || tables.frozen.is_none() || held < max + max / BONUS_PART;
        if goes_on && holds && waits < max {
            return Ok(());
        }
        Err(shared.space.refusal())
    }

    fn maintenance(&mut self, shared: &Shared, tables: &Tables, below: &[&Memtable], step: &Maintenance) -> Answer {
        self.admit(shared, tables, true)?;
        let mut done = maintain::apply(step, tables, &[&[&self.pending], below].concat())?;
        self.pending.absorb(&mut done);
        self.cycle.maintenance(step);
        self.last.at = self.last.at.max(step.at.0);
        Ok(nothing())
    }

    fn mutation(&mut self, shared: &Shared, tables: &Tables, below: &[&Memtable], checked: &Checked) -> Answer {
        let mutation = checked.mutation();
        let goes_on = goes_on(mutation);
        let layers = tables.layers_over(std::iter::once(&self.pending).chain(below.iter().copied()));
        if let Err(full) = self.admit(shared, tables, goes_on) {
            // What was taken before is answered as it was.
            layers.receipt(&mutation.did, &mutation.key)?.ok_or(full)?;
        }
        let now = shared.env.clock.now();
        let stamp = Stamp {
            pos: Pos(self.last.pos + 1),
            at: Micros(now.0.max(self.last.at)),
            first_seq: Seq::new(self.last.seq)?.plus(1)?,
        };
        let effects = match plan(&layers, checked, stamp)? {
            Plan::Take(effects) => effects,
            Plan::Again(receipt) => return Ok(receipt),
        };
        let frames = frames(checked, &effects, stamp)?;
        let places = self.cycle.places(&mutation.blocks);
        let sum = encode_effects(&effects, &mut self.pending, &|i| places[i]);
        self.cycle.mutation(checked, &effects.events, stamp, sum, commit_repo(&effects));
        self.last.pos = stamp.pos.0;
        self.last.at = stamp.at.0;
        self.last.seq += frames.len() as u64;
        self.taken += 1;
        self.spared &= goes_on;
        self.events.extend(frames);
        Ok(effects.receipt)
    }
}

pub(super) fn nothing() -> Receipt {
    Receipt { pos: Pos(0), at: Micros(0), first_seq: Seq::ZERO, events: 0, taken: Vec::new() }
}

/// The generation that a plan's commit goes to; 0 if there is none.
pub(super) fn commit_repo(effects: &Effects) -> RepoId {
    let commit = effects.changes.iter().find_map(|effect| match effect {
        Effect::Commit(repo, _, _) => Some(*repo),
        _ => None,
    });
    commit.unwrap_or(RepoId(0))
}

/// The frames of a plan's events.
pub(super) fn frames(checked: &Checked, effects: &Effects, stamp: Stamp) -> Result<Vec<EventFrame>> {
    let mutation = checked.mutation();
    let block = |cid: &Cid| checked.supplied(cid).map(|i| &mutation.blocks[i]);
    let mut frames = Vec::with_capacity(effects.events.len());
    for (i, event) in effects.events.iter().enumerate() {
        let seq = stamp.first_seq.plus(i as u64)?;
        let frame = backend_api::frame::event(mutation, event, seq, stamp.at, &block)?;
        frames.push(EventFrame { seq, at: stamp.at, frame: Bytes::from(frame) });
    }
    Ok(frames)
}
