//! Who writes cycles: a thread of its own, so that the next cycle is planned meanwhile; or whoever asks, in one thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use backend_api::Result;

use crate::log::{Sealed, Written};

/// If it panicked, the commit thread goes the same way: whether its cycle is on disk, nobody knows.
const ALIVE: &str = "the thread that writes lives as long as its pen";

/// Writes one cycle after the other.
pub enum Pen {
    /// A thread. Its channels, and whether it writes.
    Thread { to: Sender<Sealed>, from: Receiver<Written>, busy: bool },
    /// Writes when it is waited for.
    Here(Option<Sealed>),
}

impl Pen {
    /// With a thread, which ends with the pen.
    pub fn with_thread() -> Result<(Self, JoinHandle<()>)> {
        let (to, sealed) = channel::<Sealed>();
        let (done, from) = channel();
        let thread = super::spawn("write", move || {
            for cycle in sealed {
                if done.send(cycle.write()).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self::Thread { to, from, busy: false }, thread))
    }

    /// Begins to write a cycle, if there is one. The one before it has been waited for.
    pub fn begin(&mut self, cycle: Option<Sealed>) {
        let Some(cycle) = cycle else { return };
        match self {
            Self::Thread { to, busy, .. } => {
                to.send(cycle).expect(ALIVE);
                *busy = true;
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
