//! What must hold of a store whose process was killed.

use std::sync::Arc;

use backend_api::{Maintenance, SnapshotItem, VerifyLevel};
use backend_tranquil::io::RealDisk;
use conformance::digest::difference;
use conformance::snapshot;

use super::life::{Open, Place, Told};
use super::story::{Act, Story};

/// Steps that are carried out after the one that was not answered.
const STEPS_MORE: usize = 3;

/// Everything acknowledged is there, what was not answered is there whole or not at all, nothing is there twice, what was
/// seen stays, the store finds itself sound, and writes go on: with the very mutation that was not answered.
pub async fn check(story: &Story, place: &Place, told: &Told) -> Result<(), String> {
    for (i, answer) in &told.done {
        let expected = &story.expected[*i].answer;
        if answer != expected {
            return Err(format!("step {i} was answered with {answer}, the model says {expected}"));
        }
    }
    let next = told.next();
    let step = &story.steps[next.min(story.steps.len() - 1)];
    let mut open = Open::at(Arc::new(RealDisk), &place.store(), step)?;
    told.saw_only(&open.store).await?;
    holds_what_it_may(story, next, &items(&open).await?)?;
    is_sound(&open).await?;
    let last = (next + STEPS_MORE).min(story.steps.len() - 1);
    for i in next..=last {
        let answer = open.carry_out(&story.steps[i]).await.map_err(|e| format!("step {i} afterwards: {e}"))?;
        let expected = &story.expected[i].answer;
        if answer != *expected {
            return Err(format!("step {i} afterwards was answered with {answer}, the model says {expected}"));
        }
    }
    differs(&items(&open).await?, story.before(last + 1)).map_or(Ok(()), |d| Err(format!("after step {last}: {d}")))?;
    is_sound(&open).await?;
    open.store.close().await.map_err(|e| format!("it does not close: {e}"))
}

/// The state is one of those that the step which was not answered may have come to.
fn holds_what_it_may(story: &Story, next: usize, found: &[SnapshotItem]) -> Result<(), String> {
    let Some(expected) = story.expected.get(next) else {
        return differs(found, story.before(next)).map_or(Ok(()), |d| Err(format!("at the end: {d}")));
    };
    // A sweep is many small steps, each of which may have been the last: it is compared when it was done to its end.
    if matches!(story.steps[next].act, Act::Sweep) {
        return Ok(());
    }
    let mut why = String::new();
    for state in &expected.states {
        match differs(found, state) {
            None => return Ok(()),
            Some(difference) => why = difference,
        }
    }
    Err(format!("steps up to {next} (not answered): what is there is none of {} states: {why}", expected.states.len()))
}

fn differs(found: &[SnapshotItem], expected: &[SnapshotItem]) -> Option<String> {
    difference(found, expected)
}

async fn items(open: &Open) -> Result<Vec<SnapshotItem>, String> {
    snapshot(&*open.store).await.map_err(|e| format!("not everything can be read: {e}"))
}

async fn is_sound(open: &Open) -> Result<(), String> {
    let report = open.store.verify(VerifyLevel::Deep).await.map_err(|e| e.to_string())?;
    if report.problems.is_empty() { Ok(()) } else { Err(format!("verify: {:?}", report.problems)) }
}
