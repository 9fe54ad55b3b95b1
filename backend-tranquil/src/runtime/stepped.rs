//! The runtime without threads: whoever holds the [`Steps`] takes the turns of the threads, one step at a time, in any
//! order. A step may be taken within a call that another one makes to the disk, as a thread may come between.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::Runtime;
use super::committer::CommitLoop;
use super::drainer::{Drainer, Signal};
use super::pen::Pen;
use super::pool::{Pool, Task};
use super::queue::Queue;
use crate::core::{Keeper, Opened, Shared};

/// What would be a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Commits cycles.
    Commit,
    /// Drains memtables.
    Drain,
    /// Keeps copies and hints.
    Keep,
    /// Serves long reads.
    Read,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Commit, Self::Drain, Self::Keep, Self::Read];
}

/// The parts, each at rest unless it is within a step.
pub struct Steps {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    drains: Arc<Signal>,
    keeps: Arc<Signal>,
    commit: Mutex<Option<CommitLoop>>,
    drain: Mutex<Option<Drainer>>,
    keep: Mutex<Option<Keeper>>,
    reads: Mutex<Receiver<Task>>,
}

impl Runtime {
    /// Starts nothing.
    pub fn stepped(opened: Opened) -> (Self, Pool, Steps) {
        let Opened { shared, committer, checkpointer, keeper } = opened;
        let queue = Arc::new(Queue::new(&shared.options));
        let (drains, keeps) = (Arc::<Signal>::default(), Arc::<Signal>::default());
        let (absorbed_tx, absorbed) = watch::channel(0);
        let drain = Drainer {
            shared: Arc::clone(&shared),
            checkpointer,
            signal: Arc::clone(&drains),
            queue: Arc::clone(&queue),
            absorbed: absorbed_tx,
            keep: Arc::clone(&keeps),
        };
        let commit = CommitLoop::new(&shared, committer, &queue, (&drains, &keeps), Pen::Here(None));
        let (pool, reads) = Pool::stepped();
        let steps = Steps {
            shared: Arc::clone(&shared),
            queue: Arc::clone(&queue),
            drains,
            keeps,
            commit: Mutex::new(Some(commit)),
            drain: Mutex::new(Some(drain)),
            keep: Mutex::new(Some(keeper)),
            reads: Mutex::new(reads),
        };
        (Self { shared, queue, absorbed, threads: Mutex::default() }, pool, steps)
    }
}

/// A part taken out for a step; `None` while it is within one.
struct Out<'a, T>(&'a Mutex<Option<T>>, Option<T>);

impl<'a, T> Out<'a, T> {
    fn of(part: &'a Mutex<Option<T>>) -> Option<Self> {
        let taken = lock(part).take()?;
        Some(Self(part, Some(taken)))
    }

    fn get(&mut self) -> &mut T {
        self.1.as_mut().expect("it is put back by drop only")
    }
}

impl<T> Drop for Out<'_, T> {
    fn drop(&mut self) {
        *lock(self.0) = self.1.take();
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().expect("no panic under this lock")
}

impl Steps {
    /// Takes one step of a part. False if it has nothing to do, must wait for another, or is within a step.
    pub fn step(&self, part: Part) -> bool {
        match part {
            Part::Commit => self.commit(),
            Part::Drain => self.drain(),
            Part::Keep => self.keep(),
            Part::Read => {
                let task = lock(&self.reads).try_recv();
                task.is_ok_and(|task| {
                    task();
                    true
                })
            }
        }
    }

    fn commit(&self) -> bool {
        let Some(mut part) = Out::of(&self.commit) else { return false };
        let part = part.get();
        if !part.is_flying() && self.queue.is_empty() {
            return part.rest();
        }
        if !part.is_flying() && part.must_wait() && self.shared.stopped().is_none() {
            return false;
        }
        part.turn(&|_| {})
    }

    fn drain(&self) -> bool {
        let Some(mut part) = Out::of(&self.drain) else { return false };
        if !self.drains.poll() {
            return false;
        }
        let again = part.get().step();
        self.drains.done(again);
        true
    }

    fn keep(&self) -> bool {
        let Some(mut part) = Out::of(&self.keep) else { return false };
        if !self.keeps.poll() {
            return false;
        }
        // As in the thread: something less to open from, the log is still there.
        if let Err(e) = part.get().step() {
            tracing::warn!(error = %e, "no copy of the metadata or no hint file could be written");
        }
        self.keeps.done(false);
        true
    }

    /// True while a cycle is planned, at the time that was, and not answered yet.
    pub fn is_flying(&self) -> bool {
        lock(&self.commit).as_ref().is_some_and(CommitLoop::is_flying)
    }

    /// What the threads do when the store is closed.
    pub fn close(&self) {
        self.queue.close();
        while self.step(Part::Commit) || self.step(Part::Drain) {}
        if let Some(mut part) = Out::of(&self.commit) {
            part.get().finish(&|_| while self.step(Part::Drain) {});
        }
        while self.step(Part::Keep) || self.step(Part::Read) {}
        self.queue.abort();
        self.shared.events.close();
        self.shared.kv.close();
    }
}
