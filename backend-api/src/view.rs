//! What the planner reads.

use crate::account::{Account, Email};
use crate::cid::Cid;
use crate::effect::ReceiptRow;
use crate::error::Result;
use crate::ids::{Did, Handle, RecordPath};
use crate::number::{AccountId, IdempotencyKey, RepoId};
use crate::repo::{Blob, BlockRefs, RecordRow, Repo};
use crate::row::{Row, RowKey, RowKind};

/// One consistent state of a store, as the planner needs it: point reads, and three bounded listings.
///
/// Rows are given as stored, also expired ones; the planner decides by the mutation's own time.
pub trait View {
    /// The account of a DID.
    fn account(&self, did: &Did) -> Result<Option<Account>>;
    /// Who has a handle.
    fn handle(&self, handle: &Handle) -> Result<Option<Did>>;
    /// Who has an address.
    fn email(&self, email: &Email) -> Result<Option<Did>>;
    /// A generation of a repo.
    fn repo(&self, id: RepoId) -> Result<Option<Repo>>;
    /// A record.
    fn record(&self, repo: RepoId, path: &RecordPath) -> Result<Option<RecordRow>>;
    /// The references to a block in a generation. A block that is there without references has a count of 0.
    fn block(&self, repo: RepoId, cid: &Cid) -> Result<Option<BlockRefs>>;
    /// True if at least `refs` references to a block are held. An engine may answer without knowing the count.
    fn holds(&self, repo: RepoId, cid: &Cid, refs: u64) -> Result<Option<u32>> {
        Ok(self.block(repo, cid)?.filter(|b| b.refs >= refs).map(|b| b.len))
    }
    /// A blob.
    fn blob(&self, account: AccountId, cid: &Cid) -> Result<Option<Blob>>;
    /// Up to `limit` records of a generation that refer to a blob.
    fn blob_uses(&self, repo: RepoId, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>>;
    /// A row.
    fn row(&self, key: &RowKey) -> Result<Option<Row>>;
    /// The key of the row with a unique value.
    fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Vec<u8>>>;
    /// Up to `limit` rows of an owner.
    fn rows_owned(&self, did: &Did, limit: usize) -> Result<Vec<RowKey>>;
    /// The receipt under an idempotency key.
    fn receipt(&self, did: &Did, key: &IdempotencyKey) -> Result<Option<ReceiptRow>>;
}
