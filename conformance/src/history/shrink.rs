//! The shortest history that still fails.

use super::run::Difference;
use super::step::{Intent, Step};

/// How often a history is run at the most while it is shrunk.
const RUNS_MAX: usize = 400;

/// Leaves out as much as it can while `fails` still says yes, first large parts, then single steps, then single
/// operations. Nothing after the step that failed is needed.
pub(super) fn shrink(
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
        let mut intent = 0;
        while let Some(shorter) = without(&history, step, intent).filter(|_| runs < RUNS_MAX) {
            runs += 1;
            match fails(&shorter) {
                Some(found) => (history, difference) = (shorter, found),
                None => intent += 1,
            }
        }
    }
    (history, difference)
}

/// The history without one operation of one step.
fn without(history: &[Step], step: usize, intent: usize) -> Option<Vec<Step>> {
    let mut shorter = history.to_vec();
    let intents: &mut Vec<Intent> = match &mut shorter[step] {
        Step::Apply { intents, .. } if intents.len() > 1 => intents,
        _ => return None,
    };
    if intent >= intents.len() {
        return None;
    }
    intents.remove(intent);
    Some(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let history: Vec<Step> = (0..100).map(Step::Advance).collect();
        let fails = |history: &[Step]| {
            let needed = [Step::Advance(13), Step::Advance(77)];
            let step = history.iter().position(|step| *step == needed[1])?;
            history[..step].contains(&needed[0]).then(|| Difference { step, what: String::new() })
        };
        let first = fails(&history).expect("it fails");
        let (shrunk, last) = shrink(history, first, fails);
        assert_eq!(shrunk, [Step::Advance(13), Step::Advance(77)]);
        assert_eq!(last.step, 1);
    }
}
