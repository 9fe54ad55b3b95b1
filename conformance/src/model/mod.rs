//! The reference backend: ordered maps behind one lock. Simple and obviously right, never fast.
//!
//! It decides nothing: the planner of `backend-api` does, and the model carries out its effects one after the other. What
//! it adds is what the contract says of reads, of the firehose and of sweeps.

mod blobs;
mod feeds;
mod fixture;
mod page;
mod reads;
mod rows;
mod state;
mod sweep;
mod verify;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backend_api::{
    Change, Checked, Error, Micros, Mutation, Plan, Reason, Receipt, Result, Stamp, Writes, plan, replan,
};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::fixture::Options;
use state::State;

pub use fixture::ModelFixture;

/// An in-memory backend. A handle: what it holds outlives it, see [`Model::reopen`].
pub struct Model {
    store: Arc<Store>,
    /// The newest event, and whether this handle was closed.
    watch: watch::Sender<Watched>,
}

struct Store {
    /// Shared with who looks at it as it is now.
    state: Mutex<Arc<State>>,
    clock: Arc<dyn Clock>,
    options: Options,
}

#[derive(Clone, Copy)]
struct Watched {
    head: u64,
    closed: bool,
}

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        Self::over(Arc::new(Store { state: Mutex::default(), clock, options }))
    }

    /// What this handle held, under a new handle; this one is closed.
    #[must_use]
    pub fn reopen(&self) -> Self {
        self.shut();
        Self::over(self.store.clone())
    }

    fn over(store: Arc<Store>) -> Self {
        let head = store.lock().head();
        Self { store, watch: watch::Sender::new(Watched { head, closed: false }) }
    }

    /// Applies a mutation that another store has taken, with the numbers that it was given there.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] if it is not the next one; what the planner says if the state is not that of the other store.
    pub fn replay(&self, change: Change) -> Result<Receipt> {
        let mut state = self.state()?;
        let Change { stamp, mutation } = change;
        let next = state.stamp(stamp.at)?;
        if (stamp.pos, stamp.at) != (next.pos, next.at) {
            let detail = format!("change {} of {} does not follow {}", stamp.pos, stamp.at, state.pos());
            return Err(Error::new(Reason::BadRequest, detail));
        }
        let checked = Checked::new(mutation)?;
        let effects = replan(&**state, &checked, stamp)?;
        if !effects.events.is_empty() && stamp.first_seq != next.first_seq {
            let detail = format!("event {} does not follow {}", stamp.first_seq, state.head());
            return Err(Error::new(Reason::BadSeq, detail));
        }
        let receipt = Arc::make_mut(&mut state).take(checked.into_mutation(), stamp, effects)?;
        self.tell(&state);
        Ok(receipt)
    }

    fn apply_one(&self, mutation: Mutation) -> Result<Receipt> {
        let mut state = self.state()?;
        let checked = Checked::new(mutation)?;
        let stamp: Stamp = state.stamp(self.store.clock.now())?;
        let receipt = match plan(&**state, &checked, stamp)? {
            Plan::Again(receipt) => receipt,
            Plan::Take(effects) => Arc::make_mut(&mut state).take(checked.into_mutation(), stamp, effects)?,
        };
        self.tell(&state);
        Ok(receipt)
    }

    /// The state, unless this handle was closed.
    fn state(&self) -> Result<MutexGuard<'_, Arc<State>>> {
        if self.watch.borrow().closed {
            return Err(closed());
        }
        Ok(self.store.lock())
    }

    /// The store's time: a clock that goes back stands still.
    fn now(&self, state: &State) -> Micros {
        self.store.clock.now().max(state.floor())
    }

    fn tell(&self, state: &State) {
        self.watch.send_modify(|watched| watched.head = state.head());
    }

    fn shut(&self) {
        self.watch.send_modify(|watched| watched.closed = true);
    }
}

impl Store {
    /// A poisoned lock means that a test has panicked already; its state is still good enough to look at.
    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> Error {
    Error::new(Reason::Closed, "the model was closed")
}

#[async_trait]
impl Writes for Model {
    async fn apply(&self, mutation: Mutation) -> Result<Receipt> {
        self.apply_one(mutation)
    }

    async fn apply_many(&self, mutations: Vec<Mutation>) -> Vec<Result<Receipt>> {
        mutations.into_iter().map(|mutation| self.apply_one(mutation)).collect()
    }
}
