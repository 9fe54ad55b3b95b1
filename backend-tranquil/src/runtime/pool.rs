//! Threads for reads that may take long, so that no async runtime's thread is held.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use backend_api::{Error, Reason, Result};
use tokio::sync::oneshot;

use crate::core::Wanted;

/// Something to run.
pub type Task = Box<dyn FnOnce() + Send>;

/// A few threads and a queue.
pub struct Pool {
    tasks: Mutex<Option<Sender<Task>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    pub fn start(threads: usize) -> Result<Self> {
        let (tasks, next) = channel::<Task>();
        let next = Arc::new(Mutex::new(next));
        let run = |i: usize| {
            let next = Arc::clone(&next);
            super::spawn(&format!("read-{i}"), move || {
                loop {
                    let task = next.lock().expect("no panic under this lock").recv();
                    match task {
                        // A read changes nothing: a panic in it ends the read, answered by its dropped reply.
                        Ok(task) => drop(catch_unwind(AssertUnwindSafe(task))),
                        Err(_) => return,
                    }
                }
            })
        };
        let threads = (0..threads.max(1)).map(run).collect::<Result<Vec<_>>>()?;
        Ok(Self { tasks: Mutex::new(Some(tasks)), threads: Mutex::new(threads) })
    }

    /// Without threads: whoever holds the other end runs the tasks.
    pub fn stepped() -> (Self, Receiver<Task>) {
        let (tasks, next) = channel();
        (Self { tasks: Mutex::new(Some(tasks)), threads: Mutex::default() }, next)
    }

    /// Runs something on one of the threads.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        self.run_while_wanted(|_| work()).await
    }

    /// The same for what may take hours: it is to ask from time to time, and to end when the caller has gone.
    pub async fn run_while_wanted<T: Send + 'static>(
        &self,
        work: impl FnOnce(Wanted<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move || {
            let gone = || Error::new(Reason::Closed, "nobody waits for it any more");
            let done = work(&|| if reply.is_closed() { Err(gone()) } else { Ok(()) });
            drop(reply.send(done));
        });
        let sent = match &*self.tasks.lock().expect("no panic under this lock") {
            Some(tasks) => tasks.send(task).is_ok(),
            None => false,
        };
        let closed = || Error::new(Reason::Closed, "the store was closed");
        if !sent {
            return Err(closed());
        }
        answer.await.map_err(|_| closed())?
    }

    pub fn close(&self) {
        drop(self.tasks.lock().expect("no panic under this lock").take());
        // Held until all have ended: a second closer waits as well.
        let mut threads = self.threads.lock().expect("no panic under this lock");
        for thread in threads.drain(..) {
            drop(thread.join());
        }
    }
}
