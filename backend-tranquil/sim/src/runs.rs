//! Many runs, and what is told of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::disk::Fault;
use crate::invariants::Violation;
use crate::plan::Plan;
use crate::world::{Report, run};

/// What runs are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A little of everything, and something goes wrong at every turn.
    Mixed,
    /// Thousands of commits.
    Busy,
}

impl Sort {
    /// Acts of people in one run, if nobody says how many.
    #[must_use]
    pub const fn steps(self) -> usize {
        match self {
            Self::Mixed => 120,
            Self::Busy => 2_000,
        }
    }

    /// The run of a seed.
    #[must_use]
    pub fn plan(self, seed: u64, steps: usize) -> Plan {
        match self {
            Self::Mixed => Plan::of(seed, steps),
            Self::Busy => Plan::busy(seed, steps),
        }
    }

    /// Its name in the ledger, and what the command line says for it.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Mixed => ("seeds", ""),
            Self::Busy => ("busy", " --busy"),
        }
    }
}

/// A few runs cannot have had everything.
const RUNS_WITH_ALL: u64 = 300;

/// Runs a plan; a panic is a violation as well.
///
/// # Errors
/// The first violation.
pub fn outcome(plan: &Plan) -> Result<Report, Violation> {
    catch_unwind(AssertUnwindSafe(|| run(plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of another sort");
        Err(Violation { act: plan.acts.len(), ..Violation::new("panic", text) })
    })
}

/// What many runs did together.
#[derive(Debug, Clone)]
pub struct Total {
    /// What they are like.
    pub sort: Sort,
    /// Runs.
    pub runs: u64,
    /// Their sums.
    pub sum: Report,
    /// Seeds that violate something.
    pub failures: Vec<(u64, Violation)>,
}

impl Total {
    /// Nothing yet.
    #[must_use]
    pub fn new(sort: Sort) -> Self {
        Self { sort, runs: 0, sum: Report::default(), failures: Vec::new() }
    }

    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: Result<Report, Violation>) {
        self.runs += 1;
        let report = match outcome {
            Ok(report) => report,
            Err(violation) => return self.failures.push((seed, violation)),
        };
        let sum = &mut self.sum;
        // In whatever order they come.
        sum.trace = sum.trace.wrapping_add(report.trace.rotate_left((seed % 64) as u32));
        sum.sent += report.sent;
        sum.taken += report.taken;
        sum.in_doubt.0 += report.in_doubt.0;
        sum.in_doubt.1 += report.in_doubt.1;
        sum.calls += report.calls;
        sum.crashes += report.crashes;
        sum.opens += report.opens;
        sum.compared += report.compared;
        sum.seen += report.seen;
        sum.healed += report.healed;
        sum.older += report.older;
        sum.fired.resize(Fault::ALL.len(), 0);
        for (sum, fired) in sum.fired.iter_mut().zip(report.fired) {
            *sum += fired;
        }
    }

    /// True if a fault never fired, in runs that are mixed and many enough to have had everything.
    #[must_use]
    pub fn lacks_faults(&self) -> bool {
        self.sort == Sort::Mixed && self.runs >= RUNS_WITH_ALL && !self.unfired().is_empty()
    }

    /// Faults that never fired: what is not tried is not shown.
    #[must_use]
    pub fn unfired(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|f| self.sum.fired.get(*f as usize).is_none_or(|n| *n == 0)).collect()
    }
}

/// Failures after which nothing further is begun.
pub static FAILURES_MAX: AtomicUsize = AtomicUsize::new(10);

/// Tries the numbers below `count` on all cores; gives what went wrong. Stops early after some failures.
pub fn each<T: Send>(count: u64, attempt: impl Fn(u64) -> Option<T> + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::SeqCst);
            let is_enough = failures.lock().is_ok_and(|failures| failures.len() >= FAILURES_MAX.load(Ordering::SeqCst));
            if i >= count || is_enough {
                return;
            }
            let failure = attempt(i);
            if let Ok(mut failures) = failures.lock() {
                failures.extend(failure);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    failures.into_inner().unwrap_or_default()
}

/// Runs seeds on all cores.
#[must_use]
pub fn seeds(sort: Sort, first: u64, count: u64, steps: usize) -> Total {
    let total = Mutex::new(Total::new(sort));
    let attempt = |i: u64| {
        let seed = first + i;
        let outcome = outcome(&sort.plan(seed, steps));
        let failed = outcome.is_err().then_some(());
        if let Ok(mut total) = total.lock() {
            total.add(seed, outcome);
        }
        failed
    };
    each(count, attempt);
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.failures.sort_by_key(|(seed, _)| *seed);
    total
}
