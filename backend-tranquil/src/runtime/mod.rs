//! The engine's threads: one commits, one drains, a few serve long reads. The core itself has none.
#![allow(clippy::disallowed_methods, reason = "this is the room where threads are made")]

mod committer;
mod drainer;
mod pen;
mod pool;
mod queue;
mod stepped;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use backend_api::{Checked, Error, Reason, Result};
use tokio::sync::{oneshot, watch};

use crate::core::{Answer, Job, Opened, Shared};

pub use pool::Pool;
use queue::Queue;
pub use stepped::{Part, Steps};

/// An answer, with the job that it is of: what the caller's thread allocated is best freed there.
type Reply = oneshot::Sender<(Answer, Job)>;

/// A job and who waits for it.
struct Work {
    job: Job,
    reply: Reply,
}

/// The threads of an open store.
pub struct Runtime {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    absorbed: watch::Receiver<u64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Runtime {
    /// Starts them.
    pub fn start(opened: Opened) -> Result<Self> {
        let Opened { shared, committer, checkpointer, keeper } = opened;
        let queue = Arc::new(Queue::new(&shared.options));
        let drains = Arc::new(drainer::Signal::default());
        let keep = Arc::new(drainer::Signal::default());
        let (absorbed_tx, absorbed) = watch::channel(0);
        let drain = drainer::Drainer {
            shared: Arc::clone(&shared),
            checkpointer,
            signal: Arc::clone(&drains),
            queue: Arc::clone(&queue),
            absorbed: absorbed_tx,
            keep: Arc::clone(&keep),
        };
        let (pen, write) = pen::Pen::with_thread(&queue)?;
        let commit = committer::CommitLoop::new(&shared, committer, &queue, (&drains, &keep), pen);
        let threads = vec![
            write,
            spawn("keep", move || drainer::keep(keeper, &keep))?,
            spawn("drain", move || drain.run())?,
            spawn("commit", move || commit.run())?,
        ];
        Ok(Self { shared, queue, absorbed, threads: Mutex::new(threads) })
    }

    /// Gives a job to the committer and waits for its answer.
    pub async fn submit(&self, job: Job) -> Answer {
        let (reply, answer) = oneshot::channel();
        if self.queue.push_all(vec![Work { job, reply }]).is_err() {
            return Err(self.refusal());
        }
        answer.await.map_or_else(|_| Err(lost(&self.shared)), |(answer, _job)| answer)
    }

    /// Gives many jobs to the committer, in order, and waits for all answers.
    pub async fn submit_many(&self, checked: Vec<Result<Box<Checked>>>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(checked.len());
        let mut work = Vec::with_capacity(checked.len());
        for checked in checked {
            answers.push(checked.map(|checked| {
                let (reply, answer) = oneshot::channel();
                work.push(Work { job: Job::Mutation(checked), reply });
                answer
            }));
        }
        let refused = self.queue.push_all(work).err().map(|_| self.refusal());
        let mut out = Vec::with_capacity(answers.len());
        for answer in answers {
            out.push(match (answer, &refused) {
                (Err(e), _) => Err(e),
                (Ok(_), Some(refused)) => Err(refused.clone()),
                (Ok(answer), None) => answer.await.map_or_else(|_| Err(lost(&self.shared)), |(answer, _job)| answer),
            });
        }
        out
    }

    fn refusal(&self) -> Error {
        if self.queue.is_closed() { self.shared.closed() } else { Queue::full() }
    }

    /// Waits until everything committed so far is drained.
    ///
    /// # Errors
    /// [`Reason::StorageFull`] if a drain that was begun for it found no space.
    pub async fn checkpoint(&self) -> Result<()> {
        let space = &self.shared.space;
        let drain = space.drains();
        // Read before the freeze: what is committed after it is not waited for.
        let cycle = self.shared.tables().mark.cycle;
        self.submit(Job::Freeze).await?;
        let mut absorbed = self.absorbed.clone();
        let reached = absorbed
            // A store that has stopped looks for no space any more, and says so with the greatest number.
            .wait_for(|a| {
                *a == u64::MAX || *a >= cycle && space.was_looked_for_after(drain) || space.failed_after(drain)
            })
            .await
            .map(|a| *a);
        match (reached, self.shared.stopped()) {
            (Ok(absorbed), None) if absorbed >= cycle => Ok(()),
            (Ok(_), None) => Err(space.refusal()),
            _ => Err(self.shared.closed()),
        }
    }

    /// Takes no further jobs, finishes those that wait, drains, and ends the threads.
    pub fn close(&self) {
        self.queue.close();
        // Held until all have ended: a second closer waits as well.
        let mut threads = self.threads.lock().expect("no panic under this lock");
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                self.shared.stop("a thread of the engine panicked");
            }
        }
        self.shared.events.close();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("tranquil-{name}"))
        .spawn(run)
        .map_err(|e| Error::new(Reason::Closed, format!("cannot start the thread {name}: {e}")))
}

fn lost(shared: &Shared) -> Error {
    let cause = shared.stopped().unwrap_or("the engine's thread ended");
    Error::new(Reason::SyncFailed, format!("{cause}: the write may or may not have happened; reopen the store"))
}

/// Runs something that blocks on a thread of its own.
pub async fn on_own_thread(run: impl FnOnce() + Send + 'static) -> Result<()> {
    let (reply, done) = oneshot::channel();
    drop(spawn("close", move || {
        run();
        // Whoever waited may have gone.
        let _gone = reply.send(());
    })?);
    done.await.map_err(|_| Error::new(Reason::Closed, "a thread of the engine panicked"))
}
