//! A crash, or a fault, at every call to the disk of a reference run.

use super::{Swept, part_of, plans};
use crate::disk::{Call, Crash, Fault, Survivors};
use crate::plan::{Act, Plan};
use crate::runs::outcome;

/// Steps of people in the reference run: enough for some four thousand calls to the disk, and so for more than 50,000 crashes
/// with what each may leave.
const STEPS: usize = 380;

/// What a crash may leave: nothing, all, beginnings, and random parts.
const WAYS: [Crash; 14] = [
    Crash::Kill,
    Crash::Power(Survivors::None),
    Crash::Power(Survivors::All),
    Crash::Power(Survivors::First(1)),
    Crash::Power(Survivors::First(2)),
    Crash::Power(Survivors::First(3)),
    Crash::Power(Survivors::First(4)),
    Crash::Power(Survivors::First(6)),
    Crash::Power(Survivors::First(9)),
    Crash::Power(Survivors::Some(100_000)),
    Crash::Power(Survivors::Some(300_000)),
    Crash::Power(Survivors::Some(500_000)),
    Crash::Power(Survivors::Some(700_000)),
    Crash::Power(Survivors::Some(900_000)),
];

/// What each call of a run is.
fn kinds(of: &Plan) -> Result<Vec<Call>, Swept> {
    let told = |e| Swept { tried: 1, failures: vec![format!("the reference run itself: {e}")], ..Swept::default() };
    outcome(of).map(|report| report.kinds).map_err(told)
}

/// The reference run with as many acts as when something is tried on it.
fn reference() -> Plan {
    Plan::reference(STEPS, Some(Act::Calm))
}

/// The same without what is compared at its end.
fn story() -> Plan {
    Plan { ends_after_crash: true, ..reference() }
}

fn crash_at(call: u64, crash: Crash, again: Vec<(u64, Crash)>) -> Plan {
    let first = Act::Crash { after_calls: call, crash, again };
    Plan { ends_after_crash: true, ..Plan::reference(STEPS, Some(first)) }
}

/// A crash at every call, and everything that it may leave.
pub fn crash(density: u64, part: (u64, u64)) -> Swept {
    let calls = match kinds(&story()) {
        Ok(kinds) => kinds.len() as u64,
        Err(failed) => return failed,
    };
    let places = (1..=calls).step_by(density as usize);
    let all = places.flat_map(|call| {
        WAYS.into_iter().map(move |way| (format!("crash at call {call}, {way:?}"), crash_at(call, way, Vec::new())))
    });
    plans(&part_of(all, part), true)
}

/// Recoveries are of a few sorts; of their calls none is left out.
const RECOVERY_CALLS: u64 = 150;
/// Crashes whose recovery is swept, in the whole of the reference run.
const RECOVERIES: u64 = 40;

/// A crash at every call of the recovery from a crash.
pub fn recovery(density: u64, part: (u64, u64)) -> Swept {
    let calls = match kinds(&story()) {
        Ok(kinds) => kinds.len() as u64,
        Err(failed) => return failed,
    };
    let mut all = Vec::new();
    for call in (1..=calls).step_by((calls / RECOVERIES).max(1) as usize) {
        for within in (1..=RECOVERY_CALLS).step_by(density as usize) {
            let ways = [WAYS[(call % 14) as usize], WAYS[(within % 14) as usize]];
            let name = format!("crash at call {call}, {:?}, and at call {within} of recovery, {:?}", ways[0], ways[1]);
            all.push((name, crash_at(call, ways[0], vec![(within, ways[1])])));
        }
    }
    plans(&part_of(all.into_iter(), part), true)
}

/// Every fault at every call to which it can happen; the run goes on, and ends well.
pub fn fault(density: u64, part: (u64, u64)) -> Swept {
    let kinds = match kinds(&reference()) {
        Ok(kinds) => kinds,
        Err(failed) => return failed,
    };
    let places = (1..).zip(&kinds).step_by(density as usize);
    let all = places.flat_map(|(call, kind)| {
        let possible = kind.faults().iter().copied().chain([Fault::Slow]);
        possible.map(move |fault| {
            let first = Act::Fault { after_calls: call, fault };
            (format!("{} at call {call}", fault.name()), Plan::reference(STEPS, Some(first)))
        })
    });
    // A slow call within which nothing comes is none.
    plans(&part_of(all, part), false)
}
