//! The drain thread.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use backend_api::{Error, Kind, Reason};
use tokio::sync::{oneshot, watch};

use super::Work;
use super::queue::Queue;
use crate::core::{Checkpointer, Drained, Job, Keeper, Shared};

/// How long to wait before it is tried again whether there is space, if nobody asks before.
const RETRY: Duration = Duration::from_millis(500);

/// Tells the thread that there is something to drain, and others that there is not.
#[derive(Default)]
pub struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    busy: bool,
    ended: bool,
    /// Somebody waits for it.
    hurry: bool,
}

impl Signal {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// There is something to drain.
    pub fn notify(&self) {
        self.lock().wanted = true;
        self.changed.notify_all();
    }

    /// There is something to drain, and somebody waits for it.
    pub fn hurry(&self) {
        let mut state = self.lock();
        (state.wanted, state.hurry) = (true, true);
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing will come any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until nothing is frozen, or the store has stopped, or a drain found no space: then nothing is gained by waiting.
    pub fn wait_idle(&self, shared: &Shared) {
        let mut state = self.lock();
        let waits = || shared.tables().frozen.is_some() && shared.stopped().is_none() && !shared.space.is_stuck();
        while (state.wanted || state.busy) && !state.ended && waits() {
            state = self.changed.wait(state).expect("no panic under this lock");
        }
    }

    fn next(&self) -> bool {
        let mut state = self.lock();
        while !state.wanted {
            if state.ended {
                return false;
            }
            state = self.changed.wait(state).expect("no panic under this lock");
        }
        (state.wanted, state.busy) = (false, true);
        true
    }

    /// What [`Signal::next`] waits for, if it is there.
    pub fn poll(&self) -> bool {
        let mut state = self.lock();
        let wanted = state.wanted;
        state.wanted = false;
        state.busy |= wanted;
        wanted
    }

    pub fn done(&self, again: bool) {
        let mut state = self.lock();
        state.busy = false;
        state.wanted |= again;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits out a retry, or less if the store ends or somebody waits for it.
    fn pause(&self) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, RETRY, |s| !s.ended && !s.hurry);
        waited.expect("no panic under this lock").0.hurry = false;
    }
}

/// What the thread owns.
pub struct Drainer {
    pub shared: Arc<Shared>,
    pub checkpointer: Checkpointer,
    pub signal: Arc<Signal>,
    pub queue: Arc<Queue>,
    pub absorbed: watch::Sender<u64>,
    /// Told after each drain.
    pub keep: Arc<Signal>,
}

/// Lets go of those who wait for a drain, also when the thread panics.
struct Ending(Arc<Shared>, Arc<Signal>, Arc<Signal>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("the drain thread panicked");
        }
        self.1.end();
        self.2.end();
    }
}

/// The thread that keeps copies and hints.
pub fn keep(mut keeper: Keeper, signal: &Signal) {
    while signal.next() {
        if let Err(e) = keeper.step() {
            // Something less to open from: the log is still there.
            tracing::warn!(error = %e, "no copy of the metadata or no hint file could be written");
        }
        signal.done(false);
    }
}

impl Drainer {
    /// Until the commit thread has ended.
    pub fn run(mut self) {
        let ending = Ending(Arc::clone(&self.shared), Arc::clone(&self.signal), Arc::clone(&self.keep));
        while self.signal.next() {
            let again = self.step();
            self.signal.done(again);
            if again {
                self.signal.pause();
            }
        }
        drop(ending);
    }

    /// Drains once. True if it has to be tried again.
    pub fn step(&mut self) -> bool {
        if self.shared.stopped().is_some() {
            // What a stopped store holds may be ahead of its event log. Whoever waits for a drain is told.
            self.absorbed.send_replace(u64::MAX);
            return false;
        }
        match self.checkpointer.drain() {
            // Who waits for a checkpoint looks whether it is there.
            Ok(Drained::Nothing) => self.absorbed.send_modify(|_| {}),
            Ok(Drained::UpTo(mark)) => {
                self.absorbed.send_replace(mark.cycle);
                // Whoever asked for a freeze meanwhile gets it now. A closed queue has its own last freeze.
                let (reply, _) = oneshot::channel();
                let _closed = self.queue.push_all(vec![Work { job: Job::Touch, reply }]);
            }
            Err(e) if self.may_pass(&e) => {
                tracing::debug!(error = %e, "metadata cannot be drained now");
                // Who waits for a checkpoint looks whether it is this one.
                self.absorbed.send_modify(|_| {});
                return self.again();
            }
            Err(e) => {
                self.shared.stop(&format!("metadata cannot be drained: {e}"));
                self.absorbed.send_replace(u64::MAX);
                return false;
            }
        }
        self.keep.notify();
        self.again()
    }

    /// Space may come back.
    fn may_pass(&self, error: &Error) -> bool {
        error.reason() == Reason::StorageFull || self.shared.space.is_full() && error.kind() == Kind::Busy
    }

    /// On a full disk it is tried again. At the end nobody waits for it: the log has everything.
    fn again(&self) -> bool {
        self.shared.space.is_full() && !self.queue.is_closed()
    }
}
