//! The engine on a simulated machine, without threads.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use backend_api::{Micros, Result};
use backend_tranquil::io::Env;
use backend_tranquil::stepped::{MetaKv, Part, Steps};
use backend_tranquil::{Options, Tranquil};
use conformance::{Clock as _, ManualClock};
use futures::task::noop_waker_ref;

use crate::disk::{SimDisk, SimKv};
use crate::env::{SimClock, SimEntropy};
use crate::plan::Setup;
use crate::rng::Rng;

/// Where the store is.
pub const DIRECTORY: &str = "/data/store";

/// How long the past is kept, and how long events are: short beside what time passes in a run.
pub const OPTIONS: conformance::Options =
    conformance::Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

/// What the machine is made of.
#[derive(Clone)]
pub struct Machine {
    /// The disk.
    pub disk: SimDisk,
    /// The wall clock.
    pub clock: Arc<ManualClock>,
    /// Its clocks stand still, whatever is done to them.
    pub is_frozen: Arc<AtomicBool>,
    /// Sizes.
    pub setup: Setup,
    /// Decides the store's identity.
    pub seed: u64,
}

/// An open store.
pub struct Engine {
    /// What people talk to.
    pub db: Arc<Tranquil>,
    /// What would be threads.
    pub steps: Arc<Steps>,
}

/// It went on for longer than anything may, or nobody could go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

impl Machine {
    fn options(&self) -> Options {
        let setup = &self.setup;
        let mut options = Options::new(DIRECTORY);
        options.history_window_us = OPTIONS.history_window_micros;
        options.event_retention_us = OPTIONS.event_retention_micros;
        options.log_file_bytes = setup.log_file_bytes;
        options.segment_bytes = setup.segment_bytes;
        options.memtable_bytes_max = setup.memtable_bytes;
        options.ring_bytes = setup.ring_bytes;
        options.snapshot_log_bytes_min = setup.snapshot_log_bytes;
        options.cycle_mutations_max = setup.cycle_mutations;
        options.queue_bytes_max = setup.queue_bytes;
        options.repair = setup.repairs;
        // Which block leaves a cache that is full depends on a hash that differs from process to process.
        options.hot_bytes = if setup.keeps_hot { 1 << 40 } else { 0 };
        options
    }

    /// Opens the store.
    ///
    /// # Errors
    /// The engine's.
    pub fn open(&self) -> Result<Engine> {
        let env = Env {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::new(SimClock::new(Arc::clone(&self.clock), Arc::clone(&self.is_frozen))),
            entropy: Arc::new(SimEntropy::new(Rng::of(self.seed, 2))),
        };
        let disk = self.disk.clone();
        let open_kv = move |path: &Path| -> Result<Arc<dyn MetaKv>> { Ok(Arc::new(SimKv::open(&disk, path)?)) };
        let (db, steps) = Tranquil::open_stepped(env, self.options(), open_kv)?;
        Ok(Engine { db, steps: Arc::new(steps) })
    }

    /// The time on its clock.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// The key-value store's directory.
    #[must_use]
    pub fn metadata() -> PathBuf {
        Path::new(DIRECTORY).join("meta")
    }
}

/// What comes between two calls to the disk.
struct Interruptions {
    rng: Rng,
    ppm: u32,
    depth: u32,
}

/// One part may come between another one's calls, and a third between the second's.
const DEPTH_MAX: u32 = 2;

impl Engine {
    /// Lets parts come between each other's calls, and surely so within slow ones.
    pub fn interrupt(&self, disk: &SimDisk, rng: Rng, ppm: u32) {
        let steps: Weak<Steps> = Arc::downgrade(&self.steps);
        let lots = Mutex::new(Interruptions { rng, ppm, depth: 0 });
        let lock = move |step: &mut dyn FnMut(&mut Interruptions) -> Option<Part>| {
            step(&mut lots.lock().expect("no panic under this lock"))
        };
        disk.set_between(Some(Arc::new(move |surely| {
            let Some(steps) = steps.upgrade() else { return };
            let part = lock(&mut |lots| {
                let Interruptions { rng, ppm, depth } = lots;
                if *depth == DEPTH_MAX || !(surely || rng.chance(*ppm)) {
                    return None;
                }
                *depth += 1;
                Some(rng.pick(&Part::ALL))
            });
            if let Some(part) = part {
                steps.step(part);
                lock(&mut |lots| {
                    lots.depth -= 1;
                    None
                });
            }
        })));
    }

    /// One step of some part that has something to do. False if none has.
    pub fn turn(&self, rng: &mut Rng) -> bool {
        let first = rng.below(Part::ALL.len() as u64) as usize;
        (0..Part::ALL.len()).any(|i| self.steps.step(Part::ALL[(first + i) % Part::ALL.len()]))
    }

    /// Lets the cycle that is planned, and those planned on top of it, come to their end.
    pub fn land(&self) {
        while self.steps.is_flying() && self.steps.step(Part::Commit) {}
    }

    /// Takes turns until a call is answered.
    ///
    /// # Errors
    /// If it is not, within so many turns.
    pub fn wait<T>(&self, call: impl Future<Output = T>, rng: &mut Rng, turns_max: u64) -> Result<T, Stuck> {
        let mut call = pin!(call);
        let mut context = Context::from_waker(noop_waker_ref());
        for _ in 0..turns_max {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
                return Ok(answer);
            }
            if !self.turn(rng) {
                break;
            }
        }
        match call.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => Err(Stuck),
        }
    }
}
