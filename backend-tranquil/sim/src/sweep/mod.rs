//! Exhaustive sweeps: one thing that goes wrong, tried at every place where it can.

mod calls;
mod rot;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::Plan;
use crate::runs::{each, outcome};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was tried.
    pub tried: u64,
    /// What was tried and must not be, in words.
    pub failures: Vec<String>,
    /// How it ended, and how often.
    pub ends: Vec<(&'static str, u64)>,
    /// The sorts of files that were damaged: how many of each, and their bytes.
    pub files: Vec<(String, u64, u64)>,
}

/// The sweeps by name.
pub const NAMES: [&str; 4] = ["crash", "recovery", "fault", "rot"];

/// Runs a sweep; of all places every `density`-th one. Of all that is to be tried only a `part`: every so-manyth, beginning
/// with that one.
///
/// # Errors
/// For a name that is not known.
pub fn sweep(name: &str, density: u64, part: Option<(u64, u64)>) -> Result<Swept, String> {
    let part = part.unwrap_or((0, 1));
    match name {
        "crash" => Ok(calls::crash(density, part)),
        "recovery" => Ok(calls::recovery(density, part)),
        "fault" => Ok(calls::fault(density, part)),
        "rot" => Ok(rot::rot(density, part)),
        _ => Err(format!("{name}: the sweeps are {NAMES:?}")),
    }
}

/// Of all that is to be tried, a part.
fn part_of<T>(all: impl Iterator<Item = T>, (first, step): (u64, u64)) -> Vec<T> {
    all.skip(first as usize).step_by(step as usize).collect()
}

/// Runs plans on all cores. With `must_happen`, one whose crash or fault never came is a failure: it tried nothing.
fn plans(plans: &[(String, Plan)], must_happen: bool) -> Swept {
    let happened = AtomicU64::new(0);
    let failures = each(plans.len() as u64, |i| {
        let (name, plan) = &plans[i as usize];
        match outcome(plan) {
            Ok(report) if report.has_happened || !must_happen => {
                happened.fetch_add(u64::from(report.has_happened), Ordering::Relaxed);
                None
            }
            Ok(_) => Some(format!("{name}: never came")),
            Err(violation) => {
                let text: String = violation.to_string().chars().take(600).collect();
                Some(format!("{name}: {text}"))
            }
        }
    });
    Swept { tried: plans.len() as u64, failures, ends: vec![("happened", happened.into_inner())], files: Vec::new() }
}
