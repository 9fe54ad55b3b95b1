//! The shortest history that still fails.

use super::run::Difference;
use super::step::Step;

/// How often a history is run at the most while it is shrunk.
const RUNS_MAX: usize = 400;

/// Leaves out as much as it can while `fails` still says yes, first large parts, then single steps, then single
/// operations. Nothing after the step that failed is needed. Gives the history that is left, and its difference.
pub fn shrink(
    mut history: Vec<Step>,
    mut difference: Difference,
    fails: impl Fn(&[Step]) -> Option<Difference>,
) -> (Vec<Step>, Difference) {
    history.truncate(difference.step.saturating_add(1));
    let mut runs = 0;
    let mut size = history.len().div_ceil(2);
    loop {
        let mut at = 0;
        while at < history.len() && runs < RUNS_MAX {
            let mut shorter = history.clone();
            shorter.drain(at..(at + size).min(shorter.len()));
            runs += 1;
            match fails(&shorter) {
                Some(found) => (history, difference) = (shorter, found),
                None => at += size,
            }
        }
        if size <= 1 || runs >= RUNS_MAX {
            break;
        }
        size = size.div_ceil(2);
    }
    for step in 0..history.len() {
        let mut part = 0;
        while let Some(shorter) = without(&history, step, part).filter(|_| runs < RUNS_MAX) {
            runs += 1;
            match fails(&shorter) {
                Some(found) => (history, difference) = (shorter, found),
                None => part += 1,
            }
        }
    }
    (history, difference)
}

/// The history without one part of one step: a mutation of several, or an operation of several. Nothing if the step has
/// no such part.
fn without(history: &[Step], step: usize, part: usize) -> Option<Vec<Step>> {
    let parts: Vec<Step> = match &history[step] {
        Step::Apply { who, intents } => {
            shortened(intents).into_iter().map(|intents| Step::Apply { who: *who, intents }).collect()
        }
        Step::ApplyMany { mutations } => {
            let fewer = shortened(mutations).into_iter();
            let smaller = mutations.iter().enumerate().flat_map(|(i, (who, intents))| {
                shortened(intents).into_iter().map(move |intents| {
                    let mut mutations = mutations.clone();
                    mutations[i] = (*who, intents);
                    mutations
                })
            });
            fewer.chain(smaller).map(|mutations| Step::ApplyMany { mutations }).collect()
        }
        _ => Vec::new(),
    };
    let mut shorter = history.to_vec();
    shorter[step] = parts.into_iter().nth(part)?;
    Some(shorter)
}

/// The list without each of its items, as long as one is left.
fn shortened<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let without = |at: usize| items[..at].iter().chain(&items[at + 1..]).cloned().collect();
    if items.len() > 1 { (0..items.len()).map(without).collect() } else { Vec::new() }
}
