//! Rows and what is done to them.

use backend_api::{Expect, Op, Row, RowKey, RowKind};

/// The name of a row of the host's own tables.
#[must_use]
pub fn row_key(key: &str) -> RowKey {
    RowKey { kind: RowKind::Custom, key: key.as_bytes().to_vec() }
}

/// A row of the host's own tables.
#[must_use]
pub fn row(key: &str, body: &str) -> Row {
    Row::new(RowKind::Custom, key, body)
}

/// Puts a row over whatever is there.
#[must_use]
pub const fn put_row(row: Row) -> Op {
    Op::PutRow { row, expect: Expect::Any }
}

/// Deletes a row, if it is there.
#[must_use]
pub const fn delete_row(key: RowKey) -> Op {
    Op::DeleteRow { key, expect: Expect::Any }
}
