//! The one writer: plan, number, append, one sync, apply, publish, answer.

use std::sync::Arc;

use backend_api::{
    Checked, Cid, Effect, Effects, Error, EventFrame, Micros, Plan, Reason, Receipt, RepoId, Result, Seq, Stamp, View,
    plan,
};
use bytes::Bytes;

use super::maintain;
use super::shared::{Counters, Frozen, Shared, Tables};
use super::space::goes_on;
use crate::format::intent::Maintenance;
use crate::format::value::Mark;
use crate::log::{Cycle, Failed, LogWriter};
use crate::meta::{Memtable, encode_effects};

/// On a full disk a memtable may grow by this part more, for what goes on.
const BONUS_PART: usize = 2;

/// What the committer is asked to do.
pub enum Job {
    /// Take a mutation.
    Mutation(Box<Checked>),
    /// Take a maintenance step.
    Maintenance(Maintenance),
    /// Freeze the memtable as soon as possible.
    Freeze,
    /// Look again whether a freeze is due.
    Touch,
}

/// A job and who waits for it.
pub struct Work<R> {
    pub job: Job,
    pub reply: R,
}

/// What a job is answered. A maintenance step or freeze is answered with an empty receipt.
pub type Answer = Result<Receipt>;

/// The state of the one writer.
pub struct Committer {
    shared: Arc<Shared>,
    log: LogWriter,
    /// The newest numbers given out.
    last: Mark,
    freeze_wanted: bool,
}

/// A cycle while its mutations are planned.
struct Draft {
    cycle: Cycle,
    pending: Memtable,
    events: Vec<EventFrame>,
    last: Mark,
    taken: u64,
    /// Nothing in it but what goes on when the disk is full.
    spared: bool,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, log: LogWriter) -> Self {
        let last = shared.tables().mark;
        shared.space.begin();
        Self { shared, log, last, freeze_wanted: false }
    }

    /// Runs one cycle over some work and answers each. Answers come when everything in the cycle is durable and visible.
    pub fn cycle<R>(&mut self, work: Vec<Work<R>>) -> Vec<(R, Answer)> {
        if self.shared.stopped().is_some() {
            return work.into_iter().map(|w| (w.reply, Err(self.shared.closed()))).collect();
        }
        let begun_ns = self.shared.env.clock.monotonic_ns();
        self.rotate_if_full();
        if self.shared.stopped().is_some() {
            return work.into_iter().map(|w| (w.reply, Err(self.shared.closed()))).collect();
        }
        let (jobs, replies): (Vec<Job>, Vec<R>) = work.into_iter().map(|w| (w.job, w.reply)).unzip();
        let answers = loop {
            match self.attempt(&jobs) {
                Ok(answers) => break answers,
                // Once more for those that go on, and once more in the space of the reserve.
                Err((_, Failed::NotWritten(e))) if e.reason() == Reason::StorageFull && self.yields(&e) => {}
                Err((answers, failed)) => break self.failed(answers, failed),
            }
        };
        Counters::add(&self.shared.counters.refusals, answers.iter().filter(|a| a.is_err()).count() as u64);
        if self.shared.stopped().is_none() {
            self.freeze_if_due();
        }
        let us = (self.shared.env.clock.monotonic_ns() - begun_ns) / 1_000;
        Counters::max(&self.shared.counters.cycle_us_max, us);
        replies.into_iter().zip(answers).collect()
    }

    /// Plans the jobs and commits what is taken of them. After an error nothing is changed, and all may be tried again.
    fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, (Vec<Answer>, Failed)> {
        let mut draft = Draft {
            cycle: self.log.begin(),
            pending: Memtable::default(),
            events: Vec::new(),
            last: self.last,
            taken: 0,
            spared: true,
        };
        let answers: Vec<Answer> = {
            let shared = Arc::clone(&self.shared);
            let tables = shared.tables();
            jobs.iter().map(|job| self.job(&tables, &mut draft, job)).collect()
        };
        if draft.cycle.is_empty() {
            self.log.discard(draft.cycle);
            return Ok(answers);
        }
        let counters = &self.shared.counters;
        match self.log.commit(draft.cycle, draft.spared) {
            Ok(bytes) => {
                Counters::add(&counters.cycles, 1);
                Counters::add(&counters.syncs, 1);
                Counters::add(&counters.mutations, draft.taken);
                Counters::add(&counters.log_bytes, bytes);
                self.publish(draft.pending, draft.events, draft.last);
                Ok(answers)
            }
            Err(failed) => Err((answers, failed)),
        }
    }

    /// The log found no space. True if there is another way: without what does not go on, or with the reserve.
    fn yields(&self, error: &Error) -> bool {
        let was_full = self.shared.space.is_full();
        self.shared.space.short(error);
        !was_full || self.shared.space.give_up()
    }

    /// Whether a job is taken now. On a full disk only what goes on is, as far as memory holds it: it may be long until
    /// the next drain.
    fn admit(&self, tables: &Tables, draft: &Draft, goes_on: bool) -> Result<()> {
        let space = &self.shared.space;
        if !space.is_full() {
            return Ok(());
        }
        let options = &self.shared.options;
        let held = tables.active.bytes() + draft.pending.bytes();
        let held_max = options.memtable_bytes_max + options.memtable_bytes_max / BONUS_PART;
        let waits = self.shared.events.waiting_bytes() + draft.events.iter().map(|e| e.frame.len()).sum::<usize>();
        if goes_on
            && (!space.is_stuck() || tables.frozen.is_none() || held < held_max)
            && waits < options.memtable_bytes_max
        {
            return Ok(());
        }
        Err(space.refusal())
    }

    fn job(&mut self, tables: &Tables, draft: &mut Draft, job: &Job) -> Answer {
        match job {
            Job::Mutation(checked) => {
                let goes_on = goes_on(checked.mutation());
                if let Err(full) = self.admit(tables, draft, goes_on) {
                    // What was taken before is answered as it was.
                    let mutation = checked.mutation();
                    let receipt = tables.layers(Some(&draft.pending)).receipt(&mutation.did, &mutation.key)?;
                    receipt.ok_or(full)?;
                }
                self.mutation(tables, draft, checked).inspect(|_| draft.spared &= goes_on)
            }
            Job::Maintenance(step) => {
                self.admit(tables, draft, true)?;
                let done = maintain::apply(step, tables, &draft.pending)?;
                draft.pending.absorb(done);
                draft.cycle.maintenance(step);
                draft.last.at = draft.last.at.max(step.at.0);
                Ok(nothing())
            }
            Job::Freeze => {
                self.freeze_wanted = true;
                Ok(nothing())
            }
            Job::Touch => Ok(nothing()),
        }
    }

    fn mutation(&self, tables: &Tables, draft: &mut Draft, checked: &Checked) -> Answer {
        let now = self.shared.env.clock.now();
        let stamp = Stamp {
            pos: backend_api::Pos(draft.last.pos + 1),
            at: Micros(now.0.max(draft.last.at)),
            first_seq: Seq::new(draft.last.seq)?.plus(1)?,
        };
        let planned = plan(&tables.layers(Some(&draft.pending)), checked, stamp)?;
        let effects = match planned {
            Plan::Take(effects) => effects,
            Plan::Again(receipt) => return Ok(receipt),
        };
        let frames = frames(checked, &effects, stamp)?;
        let mutation = checked.mutation();
        let places = draft.cycle.places(&mutation.blocks);
        let sum = encode_effects(&effects, &mut draft.pending, &|i| places[i]);
        draft.cycle.mutation(checked, &effects.events, stamp, sum, commit_repo(&effects));
        draft.last.pos = stamp.pos.0;
        draft.last.at = stamp.at.0;
        draft.last.seq += frames.len() as u64;
        draft.taken += 1;
        draft.events.extend(frames);
        Ok(effects.receipt)
    }

    /// The cycle is durable: what it did becomes the state, and its events are seen.
    fn publish(&mut self, pending: Memtable, events: Vec<EventFrame>, mut last: Mark) {
        let at = self.log.position();
        (last.cycle, last.chain, last.file, last.offset) = (at.cycle, at.chain, at.file, at.offset);
        self.last = last;
        {
            let mut tables = self.shared.tables_mut();
            tables.active.absorb(pending);
            tables.mark = last;
        }
        if let Err(e) = self.shared.append_events(events) {
            // They are in the commit log, and in memory for those who follow; the next open writes them again.
            self.shared.stop(&format!("the event log cannot be written: {e}"));
        }
    }

    fn failed(&self, answers: Vec<Answer>, failed: Failed) -> Vec<Answer> {
        let (stop, error) = match failed {
            Failed::NotWritten(error) => (false, error),
            Failed::Unknown(error) => (true, error),
        };
        if stop {
            self.shared.stop(error.detail());
        }
        let answer = |answer: Answer| match answer {
            // Whether a refusal holds depends on what the cycle would have done: it must be asked again as well.
            Err(_) if stop => Err(self.shared.closed()),
            Ok(_) if stop => {
                let detail = format!("{}: it may or may not have been written; reopen the store", error.detail());
                Err(Error::new(Reason::SyncFailed, detail))
            }
            _ => Err(error.clone()),
        };
        answers.into_iter().map(answer).collect()
    }

    fn rotate_if_full(&mut self) {
        // On a full disk the current file takes on.
        if self.log.is_file_full() && !self.shared.space.is_full() {
            match self.log.rotate() {
                Ok(()) => {
                    Counters::add(&self.shared.counters.rotations, 1);
                    let at = self.log.position();
                    (self.last.file, self.last.offset) = (at.file, at.offset);
                }
                // What failed may be on disk or not: nothing may be built on it.
                Err(e) if e.reason() == Reason::SyncFailed => self.shared.stop(e.detail()),
                // The current file takes on; a full disk shows when it is written.
                Err(e) => tracing::warn!(error = %e, "no new log file"),
            }
        }
    }

    /// Freezes the memtable when it is full or when that was asked for, unless one is frozen already.
    pub fn freeze_if_due(&mut self) {
        let mut tables = self.shared.tables_mut();
        let due = self.freeze_wanted || tables.active.bytes() >= self.shared.options.memtable_bytes_max;
        if due && tables.frozen.is_none() {
            let next = tables.active.successor();
            let table = std::mem::replace(&mut tables.active, next);
            tables.frozen = Some(Arc::new(Frozen { table, mark: tables.mark }));
            self.freeze_wanted = false;
        }
    }

    /// Freezes whatever there is, unless a table is frozen already.
    pub fn freeze_now(&mut self) {
        self.freeze_wanted = true;
        self.freeze_if_due();
    }

    /// True if no further cycle should begin before a drain has ended: memory is bounded. If the disk lets no drain end,
    /// what memory has no room for is refused instead.
    pub fn must_wait(&self) -> bool {
        let tables = self.shared.tables();
        !self.shared.space.is_stuck()
            && tables.frozen.is_some()
            && tables.active.bytes() >= self.shared.options.memtable_bytes_max
    }

    /// Ends the log file, so that the next open has nothing to search.
    pub fn close(&mut self) -> Result<()> {
        self.log.close()
    }
}

fn nothing() -> Receipt {
    Receipt { pos: backend_api::Pos(0), at: Micros(0), first_seq: Seq::ZERO, events: 0, taken: Vec::new() }
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
