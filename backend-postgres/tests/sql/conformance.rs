//! The SQL engine passes the whole suite.

use crate::common::PostgresFixture;

conformance::suite!(PostgresFixture::new());
