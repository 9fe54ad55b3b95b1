//! What the planner reads.

use backend_api::effect::ReceiptRow;
use backend_api::{
    Account, AccountId, Blob, BlockRefs, Cid, Did, Email, Handle, IdempotencyKey, RecordPath, RecordRow, Repo, RepoId,
    Result, Row, RowKey, RowKind, View,
};

use super::state::State;

impl View for State {
    fn account(&self, did: &Did) -> Result<Option<Account>> {
        Ok(self.accounts.get(did).cloned())
    }

    fn handle(&self, handle: &Handle) -> Result<Option<Did>> {
        Ok(self.handles.get(handle).cloned())
    }

    fn email(&self, email: &Email) -> Result<Option<Did>> {
        Ok(self.emails.get(email).cloned())
    }

    fn repo(&self, id: RepoId) -> Result<Option<Repo>> {
        Ok(self.repos.get(&id).cloned())
    }

    fn record(&self, repo: RepoId, path: &RecordPath) -> Result<Option<RecordRow>> {
        Ok(self.records.get(&(repo, path.clone())).cloned())
    }

    fn block(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockRefs>> {
        let block = self.blocks.get(&(repo, *cid));
        Ok(block.map(|block| BlockRefs { refs: block.refs, len: block.bytes.len() as u32 }))
    }

    fn blob(&self, account: AccountId, cid: &Cid) -> Result<Option<Blob>> {
        Ok(self.blobs.get(&(account, *cid)).cloned())
    }

    fn blob_uses(&self, repo: RepoId, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>> {
        Ok(self.uses_of(repo, cid).take(limit).cloned().collect())
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>> {
        Ok(self.rows.get(key).cloned())
    }

    fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.row_uniques.get(&(kind, index, value.to_vec())).cloned())
    }

    fn rows_owned(&self, did: &Did, limit: usize) -> Result<Vec<RowKey>> {
        Ok(self.row_owners.iter().filter(|(owner, _)| owner == did).map(|(_, key)| key.clone()).take(limit).collect())
    }

    fn receipt(&self, did: &Did, key: &IdempotencyKey) -> Result<Option<ReceiptRow>> {
        Ok(self.receipts.get(&(did.clone(), *key)).cloned())
    }
}
