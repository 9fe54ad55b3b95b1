//! Who writes cycles: a thread of its own, so that the next cycle is planned meanwhile; or whoever asks, in one thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use backend_api::Result;

use super::Work;
use super::queue::Queue;
use crate::log::{Sealed, Written};

/// If it panicked, the commit thread goes the same way: whether its cycle is on disk, nobody knows.
const ALIVE: &str = "the thread that writes lives as long as its pen";

/// Writes one cycle after the other.
pub enum Pen {
    /// A thread. Its channels, whether it writes, and how many cycles it was given.
    Thread { to: Sender<Sealed>, from: Receiver<Written>, busy: bool, given: u64 },
    /// Writes when it is waited for.
    Here(Option<Sealed>),
}

impl Pen {
    /// With a thread, which ends with the pen. It tells the queue of each cycle that it has written.
    pub fn with_thread(queue: &Arc<Queue>) -> Result<(Self, JoinHandle<()>)> {
        let (to, sealed) = channel::<Sealed>();
        let (done, from) = channel();
        let queue = Arc::clone(queue);
        let thread = super::spawn("write", move || {
            for (written, cycle) in (1..).zip(sealed) {
                // Whoever waits at the queue for it hears of it also if this panics.
                let told = Told(&queue, written);
                if done.send(cycle.write()).is_err() {
                    return;
                }
                drop(told);
            }
        })?;
        Ok((Self::Thread { to, from, busy: false, given: 0 }, thread))
    }

    /// Waits for so many jobs while a cycle is being written. Without a thread it is when nobody has one.
    pub fn meanwhile(&self, queue: &Queue, wanted: usize, planned: (usize, usize)) -> Option<Vec<Work>> {
        match self {
            Self::Thread { busy: true, given, .. } => queue.take_until(*given, wanted, planned),
            Self::Here(Some(_)) => queue.take_now(planned),
            Self::Thread { .. } | Self::Here(None) => None,
        }
    }

    /// Begins to write a cycle, if there is one. The one before it has been waited for.
    pub fn begin(&mut self, cycle: Option<Sealed>) {
        let Some(cycle) = cycle else { return };
        match self {
            Self::Thread { to, busy, given, .. } => {
                to.send(cycle).expect(ALIVE);
                (*busy, *given) = (true, *given + 1);
            }
            Self::Here(waits) => *waits = Some(cycle),
        }
    }

    /// Waits until the cycle is written; `None` if none was begun.
    pub fn end(&mut self) -> Option<Written> {
        match self {
            Self::Thread { from, busy, .. } => std::mem::take(busy).then(|| from.recv().expect(ALIVE)),
            Self::Here(waits) => waits.take().map(Sealed::write),
        }
    }
}

/// Tells the queue that so many cycles are written.
struct Told<'a>(&'a Queue, u64);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.is_written(self.1);
    }
}
