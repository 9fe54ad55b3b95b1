//! The commit thread.

use std::collections::VecDeque;
use std::sync::Arc;

use super::drainer::Signal;
use super::pen::Pen;
use super::queue::Queue;
use super::{Reply, Work};
use crate::core::{Committer, Counters, Job, Landed, Shared};
use crate::format::parity::REGION_BYTES;

/// A cycle is planned in so many bites while the one before it is being written.
const BITES: usize = 4;

/// So many bytes of events wait for their segment at the most, while there are other cycles to write: one call for many;
/// and never more than this part of a segment.
const EVENTS_BYTES_MAX: u64 = 64 << 10;
const EVENTS_PART_MAX: u64 = 4;

/// What the thread owns.
pub struct CommitLoop {
    shared: Arc<Shared>,
    committer: Committer,
    queue: Arc<Queue>,
    drains: Arc<Signal>,
    keeps: Arc<Signal>,
    pen: Pen,
    /// The file and region of the log that was written to last.
    region: (u32, u64),
    /// Events may wait for their file.
    events_wait: bool,
    /// Who waits for the cycles that are begun, in order.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    replies: Vec<Reply>,
    /// Among them is one that waits for a drain.
    for_drain: bool,
}

/// Answers everybody and tells the drainer, also when the thread panics: a waiter is never forgotten.
struct Ending {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    drains: Arc<Signal>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.stop("the commit thread panicked");
        }
        self.queue.abort();
        self.drains.end();
    }
}

impl CommitLoop {
    /// `signals` tell those who drain, and those who keep sidecars.
    pub fn new(
        shared: &Arc<Shared>,
        committer: Committer,
        queue: &Arc<Queue>,
        signals: (&Arc<Signal>, &Arc<Signal>),
        pen: Pen,
    ) -> Self {
        let (shared, queue) = (Arc::clone(shared), Arc::clone(queue));
        let (drains, keeps) = (Arc::clone(signals.0), Arc::clone(signals.1));
        let region = region_of(&shared);
        Self { shared, committer, queue, drains, keeps, pen, region, events_wait: false, waiting: VecDeque::new() }
    }

    /// Until the queue is closed and empty.
    pub fn run(mut self) {
        let ending = Ending {
            shared: Arc::clone(&self.shared),
            queue: Arc::clone(&self.queue),
            drains: Arc::clone(&self.drains),
        };
        let drains = Arc::clone(&self.drains);
        let wait_idle = |shared: &Shared| drains.wait_idle(shared);
        while self.turn(&wait_idle) {}
        self.finish(&wait_idle);
        drop(ending);
    }

    /// True while a cycle is begun and not answered.
    pub const fn is_flying(&self) -> bool {
        self.committer.is_flying()
    }

    /// True if no cycle should begin before a drain has ended.
    pub fn must_wait(&self) -> bool {
        self.committer.must_wait()
    }

    /// What is left for when nobody asks for anything: the newest events go to their file. False if there was nothing.
    pub fn rest(&mut self) -> bool {
        let wait = std::mem::take(&mut self.events_wait);
        if wait {
            self.committer.flush_events();
        }
        wait
    }

    /// Begins a cycle; or plans some of the next one while it is being written; or ends it. False when the queue is closed
    /// and empty.
    pub fn turn(&mut self, wait_idle: &dyn Fn(&Shared)) -> bool {
        if self.committer.is_flying() {
            // In a few bites: what comes last is planned while the disk rests.
            let wanted = self.waiting.front().map_or(0, |flight| flight.replies.len() / BITES);
            let more = |planned| self.pen.meanwhile(&self.queue, wanted, planned);
            match self.committer.may_plan_ahead().then(|| more(self.committer.planned())).flatten() {
                Some(work) => self.plan_ahead(work),
                None => self.land(),
            }
            return true;
        }
        let Some(work) = self.next() else { return false };
        if self.committer.must_wait() {
            Counters::add(&self.shared.counters.stalls, 1);
            self.drains.hurry();
            wait_idle(&self.shared);
        }
        let alone = work.len() == 1;
        let (jobs, waiting) = apart(work);
        self.waiting.push_back(waiting);
        let sealed = self.committer.begin(jobs);
        if alone {
            // Nobody else is there to be planned for meanwhile: another thread would only cost the way to it.
            let written = sealed.map(crate::log::Sealed::write);
            let landed = self.committer.land(written);
            self.answer(landed);
        } else {
            self.pen.begin(sealed);
        }
        true
    }

    fn next(&mut self) -> Option<Vec<Work>> {
        if let Some(work) = self.queue.take_soon() {
            return Some(work);
        }
        self.rest();
        self.queue.take()
    }

    fn plan_ahead(&mut self, work: Vec<Work>) {
        let (jobs, waiting) = apart(work);
        if self.committer.plan_ahead(jobs) {
            self.waiting.push_back(waiting);
        } else if let Some(before) = self.waiting.back_mut() {
            before.replies.extend(waiting.replies);
            before.for_drain |= waiting.for_drain;
        }
    }

    fn land(&mut self) {
        let written = self.pen.end();
        if written.is_some()
            && self.committer.may_plan_ahead()
            && let Some(work) = self.queue.take_now(self.committer.planned())
        {
            self.plan_ahead(work);
        }
        let next = self.committer.follow(written.as_ref());
        self.pen.begin(next);
        let landed = self.committer.land(written);
        self.answer(landed);
    }

    fn answer(&mut self, landed: Vec<Landed>) {
        let mut for_drain = false;
        for done in landed {
            let Some(waiting) = self.waiting.pop_front() else { break };
            for_drain |= waiting.for_drain;
            for (reply, done) in waiting.replies.into_iter().zip(done) {
                // A caller that went away has no need of its answer.
                drop(reply.send(done));
            }
        }
        self.events_wait = true;
        let events_bytes_max = EVENTS_BYTES_MAX.min(self.shared.options.segment_bytes / EVENTS_PART_MAX);
        // On a full disk nothing is put off: there may be less space later.
        if self.shared.space.is_full() || self.shared.events.waiting_bytes() as u64 >= events_bytes_max {
            self.rest();
        }
        let region = region_of(&self.shared);
        if std::mem::replace(&mut self.region, region) != region {
            self.keeps.notify();
        }
        if for_drain {
            self.drains.hurry();
        } else if self.shared.stopped().is_some()
            || self.shared.space.is_full()
            || self.shared.tables().frozen.is_some()
        {
            self.drains.notify();
        }
    }

    /// A clean end: everything drained, the log file without its preallocated rest.
    pub fn finish(&mut self, wait_idle: &dyn Fn(&Shared)) {
        while self.committer.is_flying() {
            self.land();
        }
        if self.shared.stopped().is_some() {
            return;
        }
        if let Err(e) = self.committer.close() {
            self.shared.stop(&format!("the log cannot be closed: {e}"));
            return;
        }
        for _ in 0..2 {
            self.drains.notify();
            wait_idle(&self.shared);
            self.committer.freeze_now();
        }
        self.drains.notify();
        wait_idle(&self.shared);
    }
}

fn apart(work: Vec<Work>) -> (Vec<Job>, Waiting) {
    let for_drain = work.iter().any(|w| matches!(w.job, Job::Freeze));
    let (jobs, replies) = work.into_iter().map(|w| (w.job, w.reply)).unzip();
    (jobs, Waiting { replies, for_drain })
}

/// What of the log is written to now. Each region that is left is covered by its file's sidecar.
fn region_of(shared: &Shared) -> (u32, u64) {
    let mark = shared.tables().mark;
    (mark.file, mark.offset / REGION_BYTES)
}
