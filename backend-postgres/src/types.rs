//! Values between Rust and Postgres: numbers, times, names, CIDs.

use std::fmt::Display;
use std::str::FromStr;

use backend_api::{Cid, Error, Micros, Pos, Reason, Result, Seq};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Row as _, Type};

/// 2000-01-01T00:00:00Z, from which Postgres counts, in microseconds since 1970.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// `timestamptz` and its array, as every Postgres numbers its own types (`pg_type.dat`).
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// A time as `timestamptz`. What is later than the contract lets be stored is the latest time that can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub Micros);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&(signed(self.0.0) - POSTGRES_EPOCH_MICROS).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Time {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let since_2000 = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        let micros = since_2000.checked_add(POSTGRES_EPOCH_MICROS).ok_or("a time beyond what is stored")?;
        Ok(Self(Micros(u64::try_from(micros)?)))
    }
}

/// A number as `bigint`. What is stored fits; what is only asked for may be greater, and then is as good as the greatest.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a stored value says that cannot be.
pub(crate) fn corrupt(what: impl Display) -> Error {
    Error::new(Reason::DataCorrupt, format!("database: {what}; nothing was changed"))
}

/// Columns by number, as the types of the contract.
pub(crate) trait Columns {
    fn number(&self, column: usize) -> Result<u64>;
    fn optional_number(&self, column: usize) -> Result<Option<u64>>;
    fn time(&self, column: usize) -> Result<Micros>;
    fn optional_time(&self, column: usize) -> Result<Option<Micros>>;
    fn bytes(&self, column: usize) -> Result<&[u8]>;
    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>>;
    fn text(&self, column: usize) -> Result<&str>;
    fn optional_text(&self, column: usize) -> Result<Option<&str>>;

    fn seq(&self, column: usize) -> Result<Seq> {
        Seq::new(self.number(column)?)
    }

    fn pos(&self, column: usize) -> Result<Pos> {
        self.number(column).map(Pos)
    }

    fn cid(&self, column: usize) -> Result<Cid> {
        Cid::from_bytes(self.bytes(column)?).map_err(corrupt)
    }

    fn name<T: FromStr<Err: Display>>(&self, column: usize) -> Result<T> {
        self.text(column)?.parse().map_err(corrupt)
    }

    fn optional_name<T: FromStr<Err: Display>>(&self, column: usize) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| text.parse().map_err(corrupt)).transpose()
    }
}

fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, column: usize) -> Result<T> {
    row.try_get(column).map_err(corrupt)
}

impl Columns for PgRow {
    fn number(&self, column: usize) -> Result<u64> {
        u64::try_from(get::<i64>(self, column)?).map_err(corrupt)
    }

    fn optional_number(&self, column: usize) -> Result<Option<u64>> {
        get::<Option<i64>>(self, column)?.map(|value| u64::try_from(value).map_err(corrupt)).transpose()
    }

    fn time(&self, column: usize) -> Result<Micros> {
        Ok(get::<Time>(self, column)?.0)
    }

    fn optional_time(&self, column: usize) -> Result<Option<Micros>> {
        Ok(get::<Option<Time>>(self, column)?.map(|time| time.0))
    }

    fn bytes(&self, column: usize) -> Result<&[u8]> {
        get(self, column)
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>> {
        get(self, column)
    }

    fn text(&self, column: usize) -> Result<&str> {
        get(self, column)
    }

    fn optional_text(&self, column: usize) -> Result<Option<&str>> {
        get(self, column)
    }
}

/// The binary forms of CIDs, for `= ANY` and `unnest`.
pub(crate) fn cid_bytes<'a>(cids: impl IntoIterator<Item = &'a Cid>) -> Vec<[u8; Cid::BYTES]> {
    cids.into_iter().map(Cid::to_bytes).collect()
}
