//! The one writer: plan, number, append, one sync, apply, publish, answer.
//!
//! While one cycle is being written, the next is planned on top of it, with all that comes until then. Nothing of a cycle is seen, and nobody in it is
//! answered, before it is durable; if it fails, what was planned on top of it is planned again.

use std::sync::Arc;

use backend_api::{Checked, Error, EventFrame, Reason, Receipt, Result};

use super::draft::Draft;
use super::restore::Restored;
use super::shared::{Counters, Shared};
use crate::format::intent::Maintenance;
use crate::format::value::Mark;
use crate::log::{Failed, LogWriter, Position, Sealed, Written};
use crate::meta::Memtable;

/// What the committer is asked to do.
pub enum Job {
    /// Take a mutation.
    Mutation(Box<Checked>),
    /// Take a maintenance step.
    Maintenance(Maintenance),
    /// Write blocks again whose bytes are damaged where they stand.
    Restore(Vec<Restored>),
    /// Freeze the memtable as soon as possible.
    Freeze,
    /// Look again whether a freeze is due.
    Touch,
}

/// What a job is answered. A maintenance step or freeze is answered with an empty receipt.
pub type Answer = Result<Receipt>;

/// What became of a cycle's jobs, in their order. They go back to who gave them: freeing them is no work for the one
/// thread that commits.
pub type Landed = Vec<(Answer, Job)>;

/// The state of the one writer.
pub struct Committer {
    shared: Arc<Shared>,
    log: LogWriter,
    /// The newest numbers that are durable.
    last: Mark,
    freeze_wanted: bool,
    /// The cycle that is being written, and the one on top of it: while it is being planned, and when it is written too.
    flight: Option<Flight>,
    next: Option<Planned>,
    following: Option<Flight>,
    /// Emptied tables, for their room.
    spare: Vec<Memtable>,
}

/// A cycle that takes further jobs.
struct Planned {
    jobs: Vec<Job>,
    answers: Vec<Answer>,
    draft: Draft,
    begun_ns: u64,
}

/// A cycle that is planned and not yet durable.
struct Flight {
    jobs: Vec<Job>,
    answers: Vec<Answer>,
    /// What is to be written; nothing if nothing was taken, or while it is being written; or why it cannot be.
    sealed: Result<Option<Sealed>>,
    pending: Memtable,
    events: Vec<EventFrame>,
    last: Mark,
    taken: u64,
    freeze_wanted: bool,
    begun_ns: u64,
}

/// A cycle that does not count, and why.
struct Lost {
    flight: Flight,
    failed: Failed,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, log: LogWriter) -> Self {
        let last = shared.tables().mark;
        shared.space.begin();
        Self { shared, log, last, freeze_wanted: false, flight: None, next: None, following: None, spare: Vec::new() }
    }

    /// True while a cycle is begun and has not landed.
    pub const fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    /// Begins a cycle, when none flies. What it gives is to be written, and then [`Committer::land`] to be called; at once
    /// if there is nothing to write.
    pub fn begin(&mut self, jobs: Vec<Job>) -> Option<Sealed> {
        if self.shared.stopped().is_none() {
            self.rotate_if_full();
        }
        let mut flight = self.plan(jobs);
        let sealed = flight.take_sealed();
        self.flight = Some(flight);
        sealed
    }

    /// Jobs of the cycle that is planned on top of the one that flies, and bytes that they take in the log.
    pub fn planned(&self) -> (usize, usize) {
        self.next.as_ref().map_or((0, 0), |next| (next.jobs.len(), next.draft.cycle.bytes()))
    }

    /// True if jobs may be planned on top of the cycle that flies.
    pub fn may_plan_ahead(&self) -> bool {
        let (jobs, bytes) = self.planned();
        let options = &self.shared.options;
        jobs < options.cycle_mutations_max.max(1)
            && bytes < options.cycle_bytes_max
            && self.flight.as_ref().is_some_and(|flight| flight.sealed.is_ok())
            && self.shared.stopped().is_none()
            && !self.shared.space.is_full()
            && !self.log.is_file_full()
            && !self.must_wait()
    }

    /// Plans jobs of the cycle after the one that flies. False if there were some before.
    pub fn plan_ahead(&mut self, jobs: Vec<Job>) -> bool {
        let (is_first, mut next) = match self.next.take() {
            Some(next) => (false, next),
            None => (true, self.open()),
        };
        self.extend(&mut next, jobs);
        self.next = Some(next);
        is_first
    }

    /// What is to be written next, if the cycle that flies was written: before it lands, so that the disk has no rest.
    pub fn follow(&mut self, written: Option<&Written>) -> Option<Sealed> {
        if written.is_some_and(|w| !w.is_ok()) || self.flight.as_ref().is_some_and(|f| f.sealed.is_err()) {
            return None;
        }
        let next = self.next.take()?;
        let mut next = self.seal(next);
        let sealed = next.take_sealed();
        self.following = Some(next);
        sealed
    }

    /// The cycle that flies was written, or had nothing to write: answers its jobs, and then those of the next one too if
    /// that one was lost with it. Otherwise the next one flies.
    pub fn land(&mut self, written: Option<Written>) -> Vec<Landed> {
        let Some(flight) = self.flight.take() else { return Vec::new() };
        let begun_ns = flight.begun_ns;
        let following = self.following.take();
        let mut landed = Vec::with_capacity(2);
        match self.settle(flight, written) {
            Ok(done) => {
                landed.push(done);
                self.flight = following;
            }
            Err(lost) => {
                landed.push(self.try_again(*lost));
                let next = self.next.take().map(|next| (next.jobs, next.draft.pending));
                let next = next.or_else(|| following.map(|next| (next.jobs, next.pending)));
                landed.extend(next.map(|(jobs, pending)| self.replan(jobs, pending)));
            }
        }
        let refused = landed.iter().flatten().filter(|(answer, _)| answer.is_err()).count();
        Counters::add(&self.shared.counters.refusals, refused as u64);
        if self.shared.stopped().is_none() {
            self.freeze_if_due();
        }
        let us = (self.shared.env.clock.monotonic_ns() - begun_ns) / 1_000;
        Counters::max(&self.shared.counters.cycle_us_max, us);
        landed
    }

    /// Plans a whole cycle on top of whatever flies.
    fn plan(&mut self, jobs: Vec<Job>) -> Flight {
        let mut planned = self.open();
        self.extend(&mut planned, jobs);
        self.seal(planned)
    }

    fn open(&mut self) -> Planned {
        let last = self.flight.as_ref().map_or(self.last, |flight| flight.last);
        let draft = Draft {
            cycle: self.log.begin(),
            pending: self.spare.pop().unwrap_or_default(),
            events: Vec::new(),
            last,
            taken: 0,
            spared: true,
            freeze_wanted: false,
        };
        Planned { jobs: Vec::new(), answers: Vec::new(), draft, begun_ns: self.shared.env.clock.monotonic_ns() }
    }

    fn extend(&self, planned: &mut Planned, jobs: Vec<Job>) {
        if self.shared.stopped().is_some() {
            planned.answers.extend(jobs.iter().map(|_| Err(self.shared.closed())));
        } else {
            let below = self.flight.as_ref().map(|flight| &flight.pending);
            planned.answers.extend(planned.draft.plan(&self.shared, below.as_slice(), &jobs));
        }
        planned.jobs.extend(jobs);
    }

    fn seal(&mut self, planned: Planned) -> Flight {
        let Planned { jobs, answers, mut draft, begun_ns } = planned;
        let sealed = if draft.cycle.is_empty() {
            self.log.discard(draft.cycle);
            Ok(None)
        } else {
            self.log.seal(draft.cycle, draft.spared).map(Some)
        };
        if let Ok(Some(sealed)) = &sealed {
            put(&mut draft.last, sealed.after());
        }
        let Draft { pending, events, last, taken, freeze_wanted, .. } = draft;
        Flight { jobs, answers, sealed, pending, events, last, taken, freeze_wanted, begun_ns }
    }

    /// Publishes a cycle that is durable. After an error nothing is changed, and its jobs may be tried again.
    fn settle(&mut self, mut flight: Flight, written: Option<Written>) -> Result<Landed, Box<Lost>> {
        if let Err(e) = &flight.sealed {
            let failed = Failed::NotWritten(e.clone());
            return Err(Box::new(Lost { flight, failed }));
        }
        self.freeze_wanted |= flight.freeze_wanted;
        let Some(written) = written else {
            self.give_back(flight.pending);
            return Ok(zip(flight.answers, flight.jobs));
        };
        let bytes = match self.log.written(written) {
            Ok(bytes) => bytes,
            Err(failed) => return Err(Box::new(Lost { flight, failed })),
        };
        let counters = &self.shared.counters;
        Counters::add(&counters.cycles, 1);
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.mutations, flight.taken);
        Counters::add(&counters.log_bytes, bytes);
        self.last = flight.last;
        {
            let mut tables = self.shared.tables_mut();
            tables.active.absorb(&mut flight.pending);
            tables.mark = flight.last;
        }
        self.give_back(flight.pending);
        self.shared.events.publish(flight.events);
        Ok(zip(flight.answers, flight.jobs))
    }

    /// Appends the events of what has landed to the event log. They are in the commit log: nobody's answer waits for it.
    pub fn flush_events(&self) {
        if let Err(e) = self.shared.flush_events() {
            // Those who follow have them from memory; the next open writes them again.
            self.shared.stop(&format!("the event log cannot be written: {e}"));
        }
    }

    fn give_back(&mut self, mut table: Memtable) {
        table.clear();
        self.spare.push(table);
    }

    /// A cycle failed: once more for those that go on, and once more in the space of the reserve.
    fn try_again(&mut self, lost: Lost) -> Landed {
        let Lost { mut flight, mut failed } = lost;
        loop {
            self.give_back(flight.pending);
            match &failed {
                Failed::NotWritten(e) if e.reason() == Reason::StorageFull && self.yields(e) => {}
                _ => return zip(self.failed(flight.answers, failed), flight.jobs),
            }
            match self.alone(flight.jobs) {
                Ok(done) => return done,
                Err(lost) => Lost { flight, failed } = *lost,
            }
        }
    }

    /// What was planned on top of a cycle that failed is planned again, without it.
    fn replan(&mut self, jobs: Vec<Job>, pending: Memtable) -> Landed {
        self.give_back(pending);
        match self.alone(jobs) {
            Ok(done) => done,
            Err(lost) => self.try_again(*lost),
        }
    }

    /// A whole cycle in one go.
    fn alone(&mut self, jobs: Vec<Job>) -> Result<Landed, Box<Lost>> {
        let mut flight = self.plan(jobs);
        let written = flight.take_sealed().map(Sealed::write);
        self.settle(flight, written)
    }

    /// The log found no space. True if there is another way: without what does not go on, or with the reserve.
    fn yields(&self, error: &Error) -> bool {
        let was_full = self.shared.space.is_full();
        self.shared.space.short(error);
        !was_full || self.shared.space.give_up()
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
                    put(&mut self.last, self.log.position());
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
            tables.freeze(self.shared.options.memtable_bytes_max);
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

impl Flight {
    fn take_sealed(&mut self) -> Option<Sealed> {
        self.sealed.as_mut().ok()?.take()
    }
}

fn zip(answers: Vec<Answer>, jobs: Vec<Job>) -> Landed {
    answers.into_iter().zip(jobs).collect()
}

/// A mark stands at a place in the log.
const fn put(mark: &mut Mark, at: Position) {
    (mark.cycle, mark.chain, mark.file, mark.offset) = (at.cycle, at.chain, at.file, at.offset);
}
