//! A backend that counts what is asked of another, and can refuse to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use backend_api::*;
use bytes::Bytes;

use crate::engine::Place;

pub struct Tapped {
    inner: Arc<dyn Backend>,
    /// What is removed with it.
    _kept: Option<Place>,
    /// Blocks that were asked for.
    pub blocks_read: AtomicU64,
    /// Mutations that are taken before one is refused.
    pub writes_left: AtomicU64,
}

impl Tapped {
    pub fn over(inner: Arc<dyn Backend>) -> Self {
        Self { inner, _kept: None, blocks_read: AtomicU64::new(0), writes_left: AtomicU64::new(u64::MAX) }
    }

    pub fn keeping(inner: Arc<dyn Backend>, place: Place) -> Self {
        Self { _kept: Some(place), ..Self::over(inner) }
    }
}

#[async_trait]
impl Writes for Tapped {
    async fn apply(&self, mutation: Mutation) -> Result<Receipt> {
        let left = self.writes_left.load(Ordering::SeqCst);
        self.writes_left.store(left.wrapping_sub(1), Ordering::SeqCst);
        if left == 0 {
            return Err(Error::new(Reason::StorageFull, "no space is left, says the test"));
        }
        self.inner.apply(mutation).await
    }

    async fn apply_many(&self, mutations: Vec<Mutation>) -> Vec<Result<Receipt>> {
        self.inner.apply_many(mutations).await
    }
}

#[async_trait]
impl BlockReads for Tapped {
    async fn blocks(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<Bytes>>> {
        self.blocks_read.fetch_add(cids.len() as u64, Ordering::SeqCst);
        self.inner.blocks(did, cids, which).await
    }

    async fn block_refs(&self, did: &Did, cids: &[Cid], which: Blocks) -> Result<Vec<Option<BlockRefs>>> {
        self.inner.block_refs(did, cids, which).await
    }
}

macro_rules! pass {
    ($facet:ident { $(fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $facet for Tapped {
            $(async fn $name(&self, $($arg: $kind),*) -> $answer { self.inner.$name($($arg),*).await })*
        }
    };
}

pass!(Accounts {
    fn account(name: &AccountName) -> Result<Option<Account>>;
    fn accounts(after: Option<&Did>, limit: usize) -> Result<Page<Account, Did>>;
});
pass!(Blobs {
    fn blob(did: &Did, cid: &Cid) -> Result<Option<Blob>>;
    fn blobs(did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<Blob, Cid>>;
    fn blob_uses(did: &Did, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>>;
    fn blobs_missing(did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>>;
    fn blobs_unused(did: &Did, put_before: Micros, limit: usize) -> Result<Vec<Blob>>;
});
pass!(Changes {
    fn position() -> Result<Pos>;
    fn changes(after: Pos, limit: usize, bytes_max: usize) -> Result<Vec<Change>>;
});
pass!(Firehose {
    fn event_window() -> Result<EventWindow>;
    fn events(after: Seq, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>>;
    fn wait_events(after: Seq) -> Result<Seq>;
});
pass!(Maintenance {
    fn sweep(budget: usize) -> Result<SweepReport>;
    fn verify(level: VerifyLevel) -> Result<VerifyReport>;
    fn stats() -> Result<Stats>;
    fn checkpoint() -> Result<()>;
    fn close() -> Result<()>;
});
pass!(Records {
    fn record(did: &Did, path: &RecordPath) -> Result<Option<Record>>;
    fn records(did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>>;
    fn collections(did: &Did) -> Result<Vec<Nsid>>;
    fn linking(did: &Did, collection: &Nsid, link: &Link, limit: usize) -> Result<Vec<RecordPath>>;
});
pass!(Repos {
    fn repo(did: &Did, at: At) -> Result<Option<RepoState>>;
    fn repos(after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>>;
    fn history(did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>>;
});
pass!(Rows {
    fn row(key: &RowKey) -> Result<Option<Row>>;
    fn row_unique(kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Row>>;
    fn rows(scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>>;
});
pass!(Snapshots {
    fn snapshot() -> Result<Snapshot>;
});
