//! *A disk that lies is found out, or does no harm.* Whatever it lost, misplaced, repeated or let rot: no answer is wrong,
//! nothing panics; what cannot be answered is refused with the name of what is damaged; and when that file is restored
//! from a copy everything is there.
//!
//! Why: every frame, entry, header and copy has a checksum that is compared before anything is returned, blocks have their
//! CID as well, and an open that finds damage behind which there is more changes nothing. There is one thing that nobody
//! can tell: whether the end of the log was lost by a disk that lied about a sync, or never written. Then the store is a
//! beginning of what it was: whole, and older.

use backend_api::{Change, Error, Kind, Seq, SnapshotItem, VerifyReport};

use super::{Held, Violation};
use crate::world::DIRECTORY;

fn violation(what: String) -> Violation {
    Violation::new("lies", what)
}

/// True if an error tells of damage.
#[must_use]
pub fn tells(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt) || error.reason() == backend_api::Reason::WrongStore
}

/// An error that tells of damage says where.
///
/// # Errors
/// If it does not.
pub fn named(error: &Error) -> Held {
    let text = error.to_string();
    if text.contains(DIRECTORY) || text.contains("metadata store") {
        return Ok(());
    }
    Err(violation(format!("it does not say what is damaged: {text}")))
}

/// A check of a store on a machine on which nothing went wrong finds nothing, and nothing to heal.
///
/// # Errors
/// If it does.
pub fn is_sound(report: &VerifyReport, troubled: bool) -> Held {
    match report.problems.iter().chain(&report.healed).next() {
        Some(what) if !troubled => {
            Err(violation(format!("nothing went wrong on the machine, and a check finds {what}")))
        }
        _ => Ok(()),
    }
}

/// What could be read of everything is what was expected, as far as it goes.
///
/// # Errors
/// If something else was read.
pub fn is_beginning(found: &[SnapshotItem], expected: &[SnapshotItem]) -> Held {
    match found.iter().zip(expected).position(|(a, b)| a != b) {
        None if found.len() <= expected.len() => Ok(()),
        at => {
            let at = at.unwrap_or(expected.len());
            let found = format!("{:?}", found.get(at)).chars().take(300).collect::<String>();
            let expected = format!("{:?}", expected.get(at)).chars().take(300).collect::<String>();
            Err(violation(format!("on a disk that lies item {at} is {found}, and not {expected}")))
        }
    }
}

/// A store that lost its end has the beginning of what there was.
///
/// # Errors
/// If it has something else.
pub fn is_older(found: Vec<Change>, expected: Vec<Change>) -> Held {
    // Of a mutation without events the first number is of no meaning.
    let same = |a: &Change, b: &Change| {
        let (mut a, mut b) = (a.clone(), b.clone());
        (a.stamp.first_seq, b.stamp.first_seq) = (Seq::ZERO, Seq::ZERO);
        a == b
    };
    let shown = |change: Option<&Change>| format!("{:?}", change.map(|c| (c.stamp, c.mutation.key)));
    match found.iter().zip(&expected).position(|(a, b)| !same(a, b)) {
        None if found.len() <= expected.len() => Ok(()),
        at => {
            let at = at.unwrap_or(expected.len());
            let (found, expected) = (shown(found.get(at)), shown(expected.get(at)));
            Err(violation(format!("of a log that lost its end, change {at} is {found}, and not {expected}")))
        }
    }
}
