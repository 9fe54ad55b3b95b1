//! Clock and entropy of a simulated machine.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend_api::Micros;
use backend_tranquil::io::{Clock, Entropy};
use conformance::{Clock as _, ManualClock};

use crate::rng::Rng;

/// Stands still until it is set; the monotonic clock moves with every look at it, unless it is frozen.
#[derive(Debug)]
pub struct SimClock {
    wall: Arc<ManualClock>,
    monotonic_ns: AtomicU64,
    is_frozen: Arc<AtomicBool>,
}

impl SimClock {
    /// A clock that shows what another one is set to, and can be frozen.
    #[must_use]
    pub const fn new(wall: Arc<ManualClock>, is_frozen: Arc<AtomicBool>) -> Self {
        Self { wall, monotonic_ns: AtomicU64::new(0), is_frozen }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Micros {
        self.wall.now()
    }

    fn monotonic_ns(&self) -> u64 {
        let step_ns = if self.is_frozen.load(Ordering::SeqCst) { 0 } else { 1_000 };
        self.monotonic_ns.fetch_add(step_ns, Ordering::SeqCst)
    }
}

/// Bytes of a seed.
pub struct SimEntropy(Mutex<Rng>);

impl SimEntropy {
    /// Decided by a seed.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self(Mutex::new(rng))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut rng = self.0.lock().expect("no panic under this lock");
        for chunk in buf.chunks_mut(8) {
            chunk.copy_from_slice(&rng.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
