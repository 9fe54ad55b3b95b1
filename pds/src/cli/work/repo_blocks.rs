//! The blocks of one repo as a source for trees.

use async_trait::async_trait;
use backend_api::tree::BlockSource;
use backend_api::{Backend, Blocks, Cid, Did, Result};
use bytes::Bytes;

/// Reads blocks of one repo from a backend.
pub struct RepoBlocks<'a> {
    /// The backend.
    pub backend: &'a dyn Backend,
    /// Whose repo.
    pub did: &'a Did,
    /// Which of its blocks.
    pub which: Blocks,
}

#[async_trait]
impl BlockSource for RepoBlocks<'_> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        self.backend.blocks(self.did, cids, self.which).await
    }
}
