//! Reading blocks.

use async_trait::async_trait;
use bytes::Bytes;

use crate::cid::Cid;
use crate::error::Result;
use crate::ids::Did;
use crate::repo::{BlockRefs, Blocks};

/// Blocks.
#[async_trait]
pub trait BlockReads {
    /// The bytes of blocks of one repo, in the order asked; at most
    /// [`BLOCKS_ASKED_MAX`](crate::limits::BLOCKS_ASKED_MAX).
    ///
    /// - **B1** A block that a repo holds is served with the bytes of its CID (`blocks_are_served_by_cid`).
    /// - **B2** A block that only another repo holds is not served (`blocks_of_another_repo_are_not_served`).
    /// - **B3** A block that no reference is left to is not live, but is history until the window has passed and a sweep
    ///   has run (`blocks_released_are_history`).
    /// - **B4** A released block that is committed again is live again and survives the sweep of its release
    ///   (`blocks_committed_again_survive_the_sweep`).
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>>;

    /// What is counted for blocks of one repo, history included, in the order asked.
    ///
    /// - **B5** Counts are those of a recount from the root (`blocks_counts_equal_a_recount`).
    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>>;
}
