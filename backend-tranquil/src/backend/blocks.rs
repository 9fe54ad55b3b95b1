use async_trait::async_trait;
use backend_api::limits::BLOCKS_ASKED_MAX;
use backend_api::{BlockReads, BlockRefs, Blocks, Cid, Did, Error, Reason, RepoId, Result, View as _};
use bytes::Bytes;

use super::{Tranquil, bytes_at};
use crate::core::{Fetched, Shared, generation_in, place_in};
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
        let read = move |shared: &Shared, repo: RepoId, cids: &[Cid]| {
            let read = |layers: &Layers<'_>| places(layers, Some(repo), cids, which);
            Ok(bytes_of(bytes_at(shared, &shared.point(&read, Fetched::default())?)?))
        };
        self.in_steps(did, which, cids, read).await
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        bounded(cids)?;
        let read = move |shared: &Shared, repo: RepoId, cids: &[Cid]| {
            let seen = |refs: &BlockRefs| which != Blocks::Live || refs.refs > 0;
            let refs = |layers: &Layers<'_>, cid: &Cid| Ok(layers.block(repo, cid)?.filter(seen));
            let read = |layers: &Layers<'_>| cids.iter().map(|cid| refs(layers, cid)).collect::<Result<Vec<_>>>();
            shared.point(&read, Fetched::default())
        };
        self.in_steps(did, which, cids.to_vec(), read).await
    }
}

impl Tranquil {
    /// Looks blocks of one generation up, some at a time, on the read pool.
    async fn in_steps<T, F>(&self, did: &Did, which: Blocks, cids: Vec<Cid>, read: F) -> Result<Vec<Option<T>>>
    where
        T: Clone + Send + 'static,
        F: Fn(&Shared, RepoId, &[Cid]) -> Result<Vec<Option<T>>> + Send + 'static,
    {
        let count = cids.len();
        let all = move |shared: &Shared, repo: RepoId| {
            let steps = cids.chunks(STEP).map(|cids| read(shared, repo, cids));
            Ok(steps.collect::<Result<Vec<_>>>()?.concat())
        };
        self.read_repo(did, which, move || vec![None; count], all).await
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
