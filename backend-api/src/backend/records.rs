//! Reading records.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{Did, Nsid, RecordKey, RecordPath};
use crate::repo::{Link, Page, Record, RecordQuery};

/// Records.
#[async_trait]
pub trait Records {
    /// A record with its block.
    ///
    /// - **D1** A created record is read back, an updated one is the new one, a deleted one is gone
    ///   (`records_create_update_delete`).
    /// - **D2** A record operation whose old CID is not the current one is refused (`records_old_cid_must_match`).
    /// - **D3** Two records of one content hold two references (`records_same_content_holds_two_references`).
    async fn record(&self, did: &Did, path: &RecordPath) -> Result<Option<Record>>;

    /// Records of one collection, by record key, in either direction.
    ///
    /// - **D4** Every record of the collection once, in order, page by page, in both directions (`records_are_listed_in_pages`).
    /// - **D5** Collections whose names begin alike are not mixed (`records_collections_are_apart`).
    async fn records(&self, did: &Did, query: &RecordQuery) -> Result<Page<Record, RecordKey>>;

    /// The collections that have records, in the order of their bytes (not of their paths: `-` and `.` sort before `/`).
    ///
    /// - **D6** Exactly those with a record (`records_collections_are_listed`).
    async fn collections(&self, did: &Did) -> Result<Vec<Nsid>>;

    /// Records of a collection that make a link, in order of path: at most `limit`.
    ///
    /// - **D7** Links are found from the mutation that made them until the one that changed or deleted the record
    ///   (`records_links_are_found`).
    async fn linking(&self, did: &Did, collection: &Nsid, link: &Link, limit: usize) -> Result<Vec<RecordPath>>;
}
