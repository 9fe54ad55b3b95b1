//! A disk in memory that can lose, fail and stop, as [`Disk`](backend_tranquil::io::Disk) allows.

mod calls;
mod crash;
mod fault;
mod harm;
mod kv;
mod node;
mod pairs;
mod state;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

pub use crash::{Crash, Keep, Lots, Survivors};
pub use fault::{Call, Fault, Faults};
pub use kv::SimKv;
pub use node::{Inode, KvNode, Node, SECTOR_BYTES};
pub use pairs::Pairs;
pub use state::State;

/// What may come between two calls: another part of the engine takes a step; within a slow call one surely does.
pub type Between = Arc<dyn Fn(bool) + Send + Sync>;

/// Steps that others take within a slow call.
const SLOW_STEPS: usize = 30;

/// The disk. A handle: all clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    between: Arc<Mutex<Option<Between>>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), between: Arc::default() }
    }

    /// The disk itself.
    ///
    /// # Panics
    /// If a thread panicked while it held it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Sets what may come between two calls.
    ///
    /// # Panics
    /// If a thread panicked while it held the lock.
    pub fn set_between(&self, between: Option<Between>) {
        *self.between.lock().expect("no panic under this lock") = between;
    }

    /// Another disk with the same content, which goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.state().clone())
    }

    /// One call: others may come between unless it `is_alone`, the power may go, it may fail, else `run` is done.
    fn call<T>(
        &self,
        call: Call,
        what: u64,
        is_alone: bool,
        run: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let between = self.between.lock().expect("no panic under this lock").clone();
        if let Some(between) = between.filter(|_| !is_alone) {
            let is_slow = self.state().is_slow();
            (0..if is_slow { SLOW_STEPS } else { 1 }).for_each(|_| between(is_slow));
        }
        let mut state = self.state();
        let fault = state.begin(call, what)?;
        let result = run(&mut state, fault);
        state.end(result.is_ok());
        result
    }
}
