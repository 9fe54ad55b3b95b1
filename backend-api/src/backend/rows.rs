//! Reading rows.

use async_trait::async_trait;

use crate::error::Result;
use crate::repo::Page;
use crate::row::{Row, RowKey, RowKind, RowScope};

/// Rows.
#[async_trait]
pub trait Rows {
    /// A row. One that expired is not there.
    ///
    /// - **T1** A put row is read back as it was put, with every byte value in its key and body (`rows_are_read_back`).
    /// - **T2** `Absent`, `Body` and `Any` are held to (`rows_expectations_are_held`).
    /// - **T3** A row is taken by exactly one of many (`rows_taken_once`).
    /// - **T4** An expired row is not there, and its key and unique values are free (`rows_expire`).
    /// - **T5** A row of one account cannot be changed by a mutation of another (`rows_of_others_are_out_of_reach`).
    async fn row(&self, key: &RowKey) -> Result<Option<Row>>;

    /// The row of a kind with a unique value at a place of its list.
    ///
    /// - **T6** A unique value has one holder, under any number of claimants at once (`rows_unique_value_has_one_holder`).
    async fn row_unique(&self, kind: RowKind, index: u8, value: &[u8]) -> Result<Option<Row>>;

    /// Rows of a scope, after one.
    ///
    /// - **T7** Every live row of the scope once, in order, page by page (`rows_are_listed_in_pages`).
    /// - **T8** Indexes follow their rows (`rows_indexes_follow`).
    async fn rows(&self, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<Page<Row, RowKey>>;
}
