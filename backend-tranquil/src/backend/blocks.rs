use async_trait::async_trait;
use backend_api::limits::BLOCKS_ASKED_MAX;
use backend_api::{BlockReads, BlockRefs, Blocks, Cid, Did, Error, Reason, Result};
use bytes::Bytes;

use super::Tranquil;
use crate::core::Shared;

/// Up to so many blocks are read by the caller's thread: that takes no longer than handing it over.
const INLINE_BLOCKS: usize = 8;

#[async_trait]
impl BlockReads for Tranquil {
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
        bounded(cids)?;
        if cids.len() <= INLINE_BLOCKS {
            return blocks(&self.shared, did, cids, which);
        }
        let (did, cids) = (did.clone(), cids.to_vec());
        self.read(move |shared| blocks(shared, &did, &cids, which)).await
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        bounded(cids)?;
        let (did, cids) = (did.clone(), cids.to_vec());
        self.read(move |shared| {
            let Some(repo) = shared.generation(&did, which)? else { return Ok(vec![None; cids.len()]) };
            let seen = |refs: u64| which != Blocks::Live || refs > 0;
            let refs = |cid: &Cid| {
                let block = shared.block_value(repo, cid)?.filter(|b| seen(b.refs));
                Ok(block.map(|b| BlockRefs { refs: b.refs, len: b.place.len }))
            };
            cids.iter().map(refs).collect()
        })
        .await
    }
}

fn bounded(cids: &[Cid]) -> Result<()> {
    if cids.len() <= BLOCKS_ASKED_MAX {
        return Ok(());
    }
    Err(Error::new(Reason::TooLarge, format!("cids: {} is more than {BLOCKS_ASKED_MAX}", cids.len())))
}

fn blocks(shared: &Shared, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
    let Some(repo) = shared.generation(did, which)? else { return Ok(vec![None; cids.len()]) };
    cids.iter().map(|cid| shared.block_of(repo, cid, which)).collect()
}
