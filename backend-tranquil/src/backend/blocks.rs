use async_trait::async_trait;
use backend_api::limits::BLOCKS_ASKED_MAX;
use backend_api::{BlockReads, BlockRefs, Blocks, Cid, Did, Error, Reason, RepoId, Result, View as _};
use bytes::Bytes;

use super::{Tranquil, bytes_at};
use crate::core::{Fetched, generation_in, place_in};
use crate::format::value::Place;
use crate::meta::Layers;

/// Blocks that are looked up in one state at a time.
const STEP: usize = 64;

#[async_trait]
impl BlockReads for Tranquil {
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
        bounded(cids)?;
        let cids = cids.to_vec();
        if cids.len() <= STEP {
            let did = did.clone();
            let read = move |layers: &Layers<'_>| places(layers, generation_in(layers, &did, which)?, &cids, which);
            return Ok(bytes_of(self.point_blocks(read).await?));
        }
        let none = vec![None; cids.len()];
        self.read_repo(
            did,
            which,
            move || none.clone(),
            move |shared, repo| {
                let mut out = Vec::with_capacity(cids.len());
                for cids in cids.chunks(STEP) {
                    let read = |layers: &Layers<'_>| places(layers, Some(repo), cids, which);
                    out.extend(bytes_of(bytes_at(shared, &shared.point(&read, Fetched::default())?)?));
                }
                Ok(out)
            },
        )
        .await
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        bounded(cids)?;
        let (none, cids) = (vec![None; cids.len()], cids.to_vec());
        self.read_repo(
            did,
            which,
            move || none.clone(),
            move |shared, repo| {
                let mut out = Vec::with_capacity(cids.len());
                for cids in cids.chunks(STEP) {
                    let seen = |refs: &BlockRefs| which != Blocks::Live || refs.refs > 0;
                    let refs = |layers: &Layers<'_>, cid: &Cid| Ok(layers.block(repo, cid)?.filter(seen));
                    let read =
                        |layers: &Layers<'_>| cids.iter().map(|cid| refs(layers, cid)).collect::<Result<Vec<_>>>();
                    out.extend(shared.point(&read, Fetched::default())?);
                }
                Ok(out)
            },
        )
        .await
    }
}

fn bounded(cids: &[Cid]) -> Result<()> {
    if cids.len() <= BLOCKS_ASKED_MAX {
        return Ok(());
    }
    Err(Error::new(Reason::TooLarge, format!("cids: {} is more than {BLOCKS_ASKED_MAX}", cids.len())))
}

fn bytes_of(blocks: Vec<Option<(Cid, Bytes)>>) -> Vec<Option<Bytes>> {
    blocks.into_iter().map(|block| block.map(|(_, bytes)| bytes)).collect()
}

fn places(layers: &Layers<'_>, repo: Option<RepoId>, cids: &[Cid], which: Blocks) -> Result<Vec<Option<(Cid, Place)>>> {
    let Some(repo) = repo else { return Ok(vec![None; cids.len()]) };
    cids.iter().map(|cid| place_in(layers, repo, cid, which)).collect()
}
