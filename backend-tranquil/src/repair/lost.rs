//! Blocks whose bytes are damaged where they stand.

use std::ops::Bound;
use std::sync::Arc;

use backend_api::{Cid, Reason, RepoId, Result};

use crate::core::{Shared, Wanted};
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue, Place};

/// Blocks of one repair at the most: what is beyond them is a problem that its check tells of, and the next one's work.
const LOST_MAX: usize = 10_000;

/// A damaged block of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub repo: RepoId,
    pub cid: Cid,
    pub place: Place,
}

/// Reads every block that is drained.
pub fn blocks(shared: &Shared, wanted: Wanted<'_>) -> Result<Vec<Lost>> {
    let state = Arc::clone(&shared.tables().store);
    let prefix = key::space(Space::Block);
    let end = key::after_prefix(&prefix).unwrap_or_default();
    let mut lost = Vec::new();
    for pair in state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
        wanted()?;
        let (k, v) = pair?;
        let (repo, cid) = key::read_block(&k)?;
        let place = value::decode::<BlockValue>(&v, "block")?.place;
        let sound = match shared.log.block(place, &cid) {
            Ok(bytes) => cid.matches(&bytes),
            // Whoever asks for repair gives up what the disk cannot read.
            Err(e) if matches!(e.reason(), Reason::DataCorrupt | Reason::ReadFailed | Reason::WrongStore) => false,
            Err(e) => return Err(e),
        };
        if !sound {
            lost.push(Lost { repo, cid, place });
            if lost.len() == LOST_MAX {
                break;
            }
        }
    }
    Ok(lost)
}
