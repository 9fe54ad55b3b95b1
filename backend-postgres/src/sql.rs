//! Statements that are made of a text, and how a text is made a statement.

use sqlx::AssertSqlSafe;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;

/// A statement with its values.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// The statement for one place of a row's lists of values: `{n}` is its number.
pub(crate) fn at_place(text: &str, place: u8) -> AssertSqlSafe<String> {
    debug_assert!(place < 4, "a row has four places of each list");
    AssertSqlSafe(text.replace("{n}", &place.to_string()))
}
