use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use backend_api::limits::BLOCKS_ASKED_MAX;
use backend_api::{BlockReads, BlockRefs, Blocks, Cid, Did, Error, Reason, Result};
use bytes::Bytes;
use sqlx::postgres::PgRow;

use super::Postgres;
use crate::types::{Columns as _, cid_bytes, corrupt};

#[async_trait]
impl BlockReads for Postgres {
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
        let found = self.found(did, cids, which, include_str!("../../sql/blocks.sql")).await?;
        let bytes = |row: &PgRow| {
            let (cid, bytes) = (row.cid(0)?, row.bytes(1)?);
            if !cid.matches(bytes) {
                return Err(corrupt(format!("the bytes of block {cid} of {did} hash to another CID")));
            }
            Ok((cid, Bytes::copy_from_slice(bytes)))
        };
        let found = found.iter().map(bytes).collect::<Result<HashMap<_, _>>>()?;
        Ok(cids.iter().map(|cid| found.get(cid).cloned()).collect())
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        let found = self.found(did, cids, which, include_str!("../../sql/block_refs.sql")).await?;
        let refs = |row: &PgRow| {
            let len = u32::try_from(row.number(2)?).map_err(corrupt)?;
            Ok((row.cid(0)?, BlockRefs { refs: row.number(1)?, len }))
        };
        let found = found.iter().map(refs).collect::<Result<HashMap<_, _>>>()?;
        Ok(cids.iter().map(|cid| found.get(cid).copied()).collect())
    }
}

impl Postgres {
    async fn found(&self, did: &Did, cids: &[Cid], which: Blocks, sql: &'static str) -> Result<Vec<PgRow>> {
        if cids.len() > BLOCKS_ASKED_MAX {
            let detail = format!("cids: {} is more than {BLOCKS_ASKED_MAX}", cids.len());
            return Err(Error::new(Reason::TooLarge, detail));
        }
        let asked = cid_bytes(&cids.iter().copied().collect::<BTreeSet<_>>());
        let refs_min = i64::from(which == Blocks::Live);
        let query = || sqlx::query(sql).bind(did.as_str()).bind(which == Blocks::Import).bind(&asked).bind(refs_min);
        self.shared.rows("read blocks", query).await
    }
}
