//! Jobs that wait for the committer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use backend_api::{Error, Reason};

use super::Work;
use crate::core::Job;
use crate::options::Options;

/// A mutation above this size waits in its own lane, with those that were given together with it: small ones pass it, and
/// half of each cycle is for that lane.
const LARGE_BYTES: usize = 256 * 1024;

/// How often who takes looks for a job before it sleeps: some 10 to 20 us. A caller that is alone asks again as soon as it
/// is answered, and to put a thread to sleep and wake it takes longer than to look.
const LOOKS: usize = 400;
/// When looking was in vain, so many times it is not tried; twice as many the next time, up to the second.
const IN_VAIN: (u32, u32) = (1, 1 << 10);

/// A bounded queue with two lanes.
pub struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    /// Something came since who takes began to look for it.
    came: AtomicBool,
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
    /// Cycles that are written.
    written: u64,
    /// Who takes sleeps, and is woken when so many wait; `None` while it is awake: to wake nobody costs as much as to wake
    /// somebody.
    wanted: Option<usize>,
    /// How often looking is not tried, and how often when it is in vain again.
    in_vain: (u32, u32),
}

impl State {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }
}

impl Queue {
    pub fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            ready: Condvar::new(),
            came: AtomicBool::new(false),
            mutations_max: options.cycle_mutations_max.max(1),
            bytes_max: options.cycle_bytes_max,
            queue_bytes_max: options.queue_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Sleeps until so many wait, a cycle is written, or the queue is closed; or less.
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>, wanted: usize) -> MutexGuard<'a, State> {
        state.wanted = Some(wanted);
        let mut state = self.ready.wait(state).expect("no panic under this lock");
        state.wanted = None;
        state
    }

    /// Looks for a job for a short while, if that was of use before.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.in_vain.0 > 0 {
            state.in_vain.0 -= 1;
            return state;
        }
        self.came.store(false, Ordering::Relaxed);
        drop(state);
        let came = (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            self.came.load(Ordering::Relaxed)
        });
        let mut state = self.lock();
        let next = if came { IN_VAIN.0 } else { (state.in_vain.1 * 2).clamp(IN_VAIN.0, IN_VAIN.1) };
        state.in_vain = (if came { 0 } else { next }, next);
        state
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
        let is_wanted = state.wanted.is_some_and(|wanted| state.len() >= wanted);
        drop(state);
        self.came.store(true, Ordering::Relaxed);
        if is_wanted {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// The jobs of the next cycle, if any wait or come at once.
    pub fn take_soon(&self) -> Option<Vec<Work>> {
        let mut state = self.lock();
        if state.is_empty() && !state.closed {
            state = self.look(state);
        }
        (!state.is_empty()).then(|| self.cycle_of(&mut state, (0, 0)))
    }

    /// The jobs of the next cycle; waits for the first. `None` when closed and empty.
    pub fn take(&self) -> Option<Vec<Work>> {
        let mut state = self.lock();
        while state.is_empty() {
            if state.closed {
                return None;
            }
            state = self.sleep(state, 1);
        }
        Some(self.cycle_of(&mut state, (0, 0)))
    }

    /// Jobs for a cycle that has some, if any wait: `planned` is how many it has, and their bytes.
    pub fn take_now(&self, planned: (usize, usize)) -> Option<Vec<Work>> {
        let mut state = self.lock();
        (!state.is_empty()).then(|| self.cycle_of(&mut state, planned))
    }

    /// The same; waits for so many of them until so many cycles are written. To be woken for each would cost more than it
    /// is worth.
    pub fn take_until(&self, written: u64, wanted: usize, planned: (usize, usize)) -> Option<Vec<Work>> {
        let wanted = wanted.max(1);
        let mut state = self.lock();
        while state.written < written {
            if state.len() >= wanted {
                return Some(self.cycle_of(&mut state, planned));
            }
            state = self.sleep(state, wanted);
        }
        None
    }

    /// So many cycles are written.
    pub fn is_written(&self, cycles: u64) {
        self.lock().written = cycles;
        self.ready.notify_one();
    }

    fn cycle_of(&self, state: &mut State, planned: (usize, usize)) -> Vec<Work> {
        let mut out = Vec::new();
        let (mutations_max, bytes_max) =
            (self.mutations_max.saturating_sub(planned.0), self.bytes_max.saturating_sub(planned.1));
        // Of what is large one goes in any case, and more while they take half of the cycle; the rest is for the small
        // ones, of which one goes in any case too.
        let large = take_some(&mut state.large, mutations_max.div_ceil(2), bytes_max / 2, &mut out);
        let left = mutations_max.saturating_sub(out.len()).max(1);
        let small = take_some(&mut state.small, left, bytes_max.saturating_sub(large), &mut out);
        let bytes = large + small;
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

/// Moves jobs from a lane into a cycle, up to a number and a size, but one if there is any. Gives their size.
fn take_some(lane: &mut VecDeque<Work>, count_max: usize, bytes_max: usize, out: &mut Vec<Work>) -> usize {
    let mut bytes = 0;
    for taken in 0..count_max {
        let Some(next) = lane.front().map(bytes_of) else { break };
        if taken > 0 && bytes + next > bytes_max {
            break;
        }
        bytes += next;
        out.extend(lane.pop_front());
    }
    bytes
}

fn bytes_of(work: &Work) -> usize {
    match &work.job {
        Job::Mutation(checked) => 512 + checked.bytes(),
        Job::Maintenance(step) => 512 + 64 * (step.release.len() + step.delete.len() + step.put.len()),
        Job::Restore(blocks) => 512 + blocks.iter().map(|b| 128 + b.block.bytes().len()).sum::<usize>(),
        Job::Freeze | Job::Touch => 0,
    }
}

#[cfg(test)]
mod tests {
    use backend_api::{IdempotencyKey, Mutation, Op, Row, RowKind};
    use tokio::sync::oneshot;

    use super::*;

    fn job(bytes: usize) -> Work {
        let row = Row::new(RowKind::Session, b"row", vec![0; bytes.min(64 << 10)]);
        let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("a DID");
        let block = |n: usize| {
            let mut bytes = vec![0; bytes];
            bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
            backend_api::Block::new(bytes.into())
        };
        let blocks = if bytes > 64 << 10 { vec![block(bytes)] } else { Vec::new() };
        let op = Op::PutRow { row, expect: backend_api::Expect::Any };
        let mutation = Mutation { did, key: IdempotencyKey([0; 16]), ops: vec![op], blocks };
        let checked = backend_api::Checked::new(mutation).expect("well-formed");
        let (reply, _) = oneshot::channel();
        Work { job: Job::Mutation(Box::new(checked)), reply }
    }

    fn queue(cycle_bytes_max: usize) -> Queue {
        Queue::new(&Options { cycle_bytes_max, ..Options::new("store") })
    }

    #[test]
    fn small_ones_go_with_each_cycle_however_large_the_others_are() {
        let queue = queue(1 << 20);
        for _ in 0..3 {
            queue.push_all(vec![job(1 << 20)]).unwrap();
        }
        for _ in 0..3 {
            queue.push_all(vec![job(100)]).unwrap();
            let cycle = queue.take_now((0, 0)).unwrap();
            assert_eq!(cycle.iter().map(|w| bytes_of(w) > LARGE_BYTES).collect::<Vec<_>>(), [true, false]);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_given_together_does_not_go_one_by_one() {
        let queue = queue(8 << 20);
        let mut batch = vec![job(300 << 10)];
        batch.extend((0..200).map(|_| job(100)));
        queue.push_all(batch).unwrap();
        assert_eq!(queue.take_now((0, 0)).unwrap().len(), 201);
    }

    #[test]
    fn who_looks_in_vain_looks_less_often() {
        let queue = queue(8 << 20);
        let mut looked = 0;
        for _ in 0..1_000 {
            looked += usize::from(queue.lock().in_vain.0 == 0);
            assert!(queue.take_soon().is_none());
        }
        assert_eq!(looked, 10, "at once, and after 1, 2, 4 ... 256 more");
        queue.push_all(vec![job(1)]).unwrap();
        assert_eq!(queue.take_soon().map(|work| work.len()), Some(1));
    }

    #[test]
    fn who_plans_ahead_is_given_enough_or_hears_that_the_disk_is_done() {
        let queue = queue(8 << 20);
        queue.push_all(vec![job(1), job(1)]).unwrap();
        assert_eq!(queue.take_until(1, 2, (0, 0)).map(|work| work.len()), Some(2));
        queue.push_all(vec![job(1)]).unwrap();
        queue.is_written(1);
        assert!(queue.take_until(1, 2, (2, 0)).is_none(), "the cycle before is written");
        assert_eq!(queue.take_now((2, 0)).map(|work| work.len()), Some(1), "what came last goes with it");
    }
}
