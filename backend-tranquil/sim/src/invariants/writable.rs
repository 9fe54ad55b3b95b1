//! *After the faults cease, reopening makes it writable.* Whatever happened, an open on a disk that works again succeeds,
//! without help, and takes writes.
//!
//! Why: faults of this simulator's disk (crashes, failed calls, no space) never damage what was synced, so recovery finds
//! every acknowledged cycle whole; what it cuts, removes or makes again is what no sync ever covered.

use backend_api::{Error, Receipt, Result};

use super::{Held, Violation};

/// What an open answered when nothing was wrong any more.
#[must_use]
pub fn cannot_open(error: &Error) -> Violation {
    Violation::new("writable", format!("the disk works again, and the store does not open: {error}"))
}

/// While things go wrong an open may fail, but never for damage: there is none.
///
/// # Errors
/// If it says that there is.
pub fn no_damage(error: &Error) -> Held {
    use backend_api::Reason::{DataCorrupt, WrongStore};
    match error.reason() {
        DataCorrupt | WrongStore => {
            Err(Violation::new("writable", format!("nothing is damaged, and the store says {error}")))
        }
        _ => Ok(()),
    }
}

/// What a write answered when nothing was wrong any more.
///
/// # Errors
/// If it was not taken.
pub fn takes(answer: &Result<Receipt>) -> Held {
    match answer {
        Ok(_) => Ok(()),
        Err(e) => Err(Violation::new("writable", format!("the store was opened on a good disk, and says {e}"))),
    }
}
