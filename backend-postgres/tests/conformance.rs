//! The SQL engine passes the whole suite.

mod common;

use common::PostgresFixture;

conformance::suite!(PostgresFixture::new());
