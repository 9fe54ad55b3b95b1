//! Reading blob metadata.

use async_trait::async_trait;

use crate::cid::Cid;
use crate::error::Result;
use crate::ids::{Did, RecordPath};
use crate::number::Micros;
use crate::repo::{Blob, Page};

/// A blob that a record refers to and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// The blob.
    pub cid: Cid,
    /// A record that refers to it.
    pub path: RecordPath,
}

/// Blobs. Their content is the host's; their existence and who refers to them is here.
#[async_trait]
pub trait Blobs {
    /// A blob.
    ///
    /// - **L1** A put blob is there; put again, it keeps its time (`blobs_put_twice_keeps_the_first`).
    /// - **L2** It goes with the commit that takes its last reference away, not before (`blobs_go_with_the_last_reference`).
    /// - **L3** It cannot be deleted, and does not go, while a record of the repo or of an unfinished import refers to it
    ///   (`blobs_in_use_cannot_be_deleted`, `blobs_of_an_import_stay`).
    async fn blob(&self, did: &Did, cid: &Cid) -> Result<Option<Blob>>;

    /// Blobs of an account by CID, after one.
    ///
    /// - **L4** Every blob once, in order, page by page (`blobs_are_listed_in_pages`).
    async fn blobs(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<Blob, Cid>>;

    /// Records of the repo that refer to a blob, in order of path: at most `limit`.
    ///
    /// - **L5** Exactly those (`blobs_uses_are_listed`).
    async fn blob_uses(&self, did: &Did, cid: &Cid, limit: usize) -> Result<Vec<RecordPath>>;

    /// Blobs that records refer to and that are not there, by CID, after one, with their first record.
    ///
    /// - **L6** Exactly those (`blobs_missing_are_listed`).
    async fn blobs_missing(&self, did: &Did, after: Option<&Cid>, limit: usize) -> Result<Page<MissingBlob, Cid>>;

    /// Blobs of an account that no record refers to, neither of the repo nor of the generation that an import fills, and
    /// that were put before a time: those to be deleted. By CID.
    ///
    /// - **L7** Exactly those (`blobs_unused_are_listed`).
    async fn blobs_unused(&self, did: &Did, put_before: Micros, limit: usize) -> Result<Vec<Blob>>;
}
