//! Jobs that wait for the committer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use backend_api::{Error, Reason};

use super::Work;
use crate::core::Job;
use crate::options::Options;

/// A mutation above this size waits in its own lane: small ones pass it, and one of it goes with each cycle.
const LARGE_BYTES: usize = 256 * 1024;

/// A bounded queue with two lanes.
pub struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    mutations_max: usize,
    bytes_max: usize,
    queue_bytes_max: usize,
}

#[derive(Default)]
struct State {
    small: VecDeque<Work>,
    large: VecDeque<Work>,
    bytes: usize,
    closed: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }
}

impl Queue {
    pub fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            ready: Condvar::new(),
            mutations_max: options.cycle_mutations_max.max(1),
            bytes_max: options.cycle_bytes_max,
            queue_bytes_max: options.queue_bytes_max,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Adds jobs that stay in this order. Adds none, and drops them, if the queue is full or closed.
    pub fn push_all(&self, work: Vec<Work>) -> Result<(), ()> {
        let sizes = work.iter().map(bytes_of);
        let (total, largest) = (sizes.clone().sum::<usize>(), sizes.max().unwrap_or(0));
        let mut state = self.lock();
        if state.closed || (state.bytes > 0 && state.bytes + total > self.queue_bytes_max) {
            return Err(());
        }
        state.bytes += total;
        let lane = if largest > LARGE_BYTES { &mut state.large } else { &mut state.small };
        lane.extend(work);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// The jobs of the next cycle; waits for the first. `None` when closed and empty.
    pub fn take(&self) -> Option<Vec<Work>> {
        let mut state = self.lock();
        while state.is_empty() {
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).expect("no panic under this lock");
        }
        Some(self.cycle_of(&mut state))
    }

    /// The jobs of the next cycle, if any wait.
    pub fn take_now(&self) -> Option<Vec<Work>> {
        let mut state = self.lock();
        (!state.is_empty()).then(|| self.cycle_of(&mut state))
    }

    fn cycle_of(&self, state: &mut State) -> Vec<Work> {
        let mut out = Vec::new();
        let mut bytes = 0;
        if let Some(work) = state.large.pop_front() {
            bytes += bytes_of(&work);
            out.push(work);
        }
        while out.len() < self.mutations_max {
            let Some(next) = state.small.front().map(bytes_of) else { break };
            if !out.is_empty() && bytes + next > self.bytes_max {
                break;
            }
            bytes += next;
            out.extend(state.small.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        out
    }

    /// Takes no further jobs. Those that wait are still given out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Takes no further jobs and drops those that wait: their callers are answered.
    pub fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.small.clear();
        state.large.clear();
        drop(state);
        self.ready.notify_all();
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub fn full() -> Error {
        Error::new(Reason::Overloaded, "too much waits to be written; nothing was written: try again later")
    }
}

fn bytes_of(work: &Work) -> usize {
    match &work.job {
        Job::Mutation(checked) => 512 + checked.bytes(),
        Job::Maintenance(step) => 512 + 64 * (step.release.len() + step.delete.len() + step.put.len()),
        Job::Freeze | Job::Touch => 0,
    }
}
