//! The commit thread.

use std::sync::Arc;

use super::Reply;
use super::drainer::Signal;
use super::queue::Queue;
use crate::core::{Committer, Counters, Job, Shared, Work};

/// What the thread owns.
pub struct CommitLoop {
    pub shared: Arc<Shared>,
    pub committer: Committer,
    pub queue: Arc<Queue>,
    pub drains: Arc<Signal>,
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
    /// Until the queue is closed and empty.
    pub fn run(mut self) {
        let ending = Ending {
            shared: Arc::clone(&self.shared),
            queue: Arc::clone(&self.queue),
            drains: Arc::clone(&self.drains),
        };
        let drains = Arc::clone(&self.drains);
        let wait_idle = |shared: &Shared| drains.wait_idle(shared);
        while let Some(work) = self.queue.take() {
            if self.committer.must_wait() {
                Counters::add(&self.shared.counters.stalls, 1);
                self.drains.hurry();
                wait_idle(&self.shared);
            }
            self.cycle(work);
        }
        self.finish(&wait_idle);
        drop(ending);
    }

    /// One cycle, and what follows from it for others.
    pub fn cycle(&mut self, work: Vec<Work<Reply>>) {
        let is_waited_for = work.iter().any(|w| matches!(w.job, Job::Freeze));
        for (reply, answer) in self.committer.cycle(work) {
            // A caller that went away has no need of its answer.
            drop(reply.send(answer));
        }
        if is_waited_for {
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
