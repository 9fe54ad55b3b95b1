//! The shortest plan that still fails.

use crate::invariants::Violation;
use crate::plan::{Act, Plan};

/// How often a plan is run at the most while it is shrunk.
const RUNS_MAX: usize = 300;

/// Leaves out as many acts as it can while the same invariant is still violated: large parts first, then single acts.
#[must_use]
pub fn shrink(plan: &Plan, first: Violation, fails: impl Fn(&Plan) -> Option<Violation>) -> (Plan, Violation) {
    let mut best = (plan.clone(), first);
    best.0.acts.truncate(best.1.act.saturating_add(1));
    let mut runs = 0;
    let mut size = best.0.acts.len().div_ceil(2);
    loop {
        let mut at = 0;
        while at < best.0.acts.len() && runs < RUNS_MAX {
            let mut shorter = best.0.clone();
            shorter.acts.drain(at..(at + size).min(shorter.acts.len()));
            runs += 1;
            match fails(&shorter).filter(|found| found.invariant == best.1.invariant) {
                Some(found) => {
                    shorter.acts.truncate(found.act.saturating_add(1));
                    best = (shorter, found);
                }
                None => at += size,
            }
        }
        if size <= 1 || runs >= RUNS_MAX {
            return best;
        }
        size = size.div_ceil(2);
    }
}

/// What is left, as the command line takes it.
#[must_use]
pub fn acts(plan: &Plan) -> String {
    plan.acts.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(",")
}

/// The plan with these acts only.
#[must_use]
pub fn only(plan: &Plan, numbers: &[u64]) -> Plan {
    let acts: Vec<(u64, Act)> = plan.acts.iter().filter(|(n, _)| numbers.contains(n)).cloned().collect();
    Plan { acts, ..plan.clone() }
}
