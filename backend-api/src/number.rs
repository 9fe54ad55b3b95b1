//! Numbers that must not be mixed up: positions, sequence numbers, times, identities.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Reason, Result};
use crate::limits::SEQ_MAX;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The position of a mutation in the order of all mutations of a store: 1, 2, 3, ... without gaps. 0 is "before
    /// the first".
    Pos
}
number! {
    /// A point in time: microseconds since 1970-01-01T00:00:00Z, as the store's clock gave it. Never decreases from one
    /// mutation to the next.
    Micros
}
number! {
    /// One generation of one repo. It is the position of the mutation that began it, so it is never used again: a
    /// re-registered account and a re-imported repo see nothing of what was there before.
    RepoId
}
number! {
    /// One incarnation of one account: the position of the mutation that created it.
    AccountId
}

/// A firehose sequence number: 1 to 2^53 - 1, without gaps, never reused (promise P3). 0 stands for "before the first"
/// in cursors only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(u64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Reason::BadSeq`] above 2^53 - 1.
    pub fn new(value: u64) -> Result<Self> {
        if value > SEQ_MAX {
            return Err(Error::new(Reason::BadSeq, format!("sequence number {value} is above {SEQ_MAX}")));
        }
        Ok(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The `n`-th number after this one.
    ///
    /// # Errors
    /// [`Reason::BadSeq`] when the numbers are used up.
    pub fn plus(self, n: u64) -> Result<Self> {
        Self::new(self.0.saturating_add(n))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Micros {
    /// RFC 3339 with milliseconds and `Z`, the form that firehose frames and records carry.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let ms = self.0 / 1_000;
        let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
        let (year, month, day) = civil(days);
        let (s, ms) = (ms_of_day / 1_000, ms_of_day % 1_000);
        // Every event has one: digits are put where they belong, which takes a tenth of what formatting takes.
        let mut text = Vec::with_capacity(24);
        for (number, width, end) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (s / 3_600, 2, b':'),
            (s / 60 % 60, 2, b':'),
            (s % 60, 2, b'.'),
            (ms, 3, b'Z'),
        ] {
            digits(&mut text, number, width);
            text.push(end);
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Appends a number in at least `width` digits.
fn digits(out: &mut Vec<u8>, number: u64, width: u32) {
    let width = width.max(number.checked_ilog10().map_or(1, |last| last + 1));
    out.extend((0..width).rev().map(|at| b'0' + (number / 10_u64.pow(at) % 10) as u8));
}

/// Year, month and day of a count of days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`, for dates after the epoch).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Names one mutation for retries: 16 bytes that the caller never uses for another one (random, or derived from the
/// request).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey(pub [u8; 16]);

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        data_encoding::HEXLOWER.encode(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_firehose_writes_them() {
        assert_eq!(Micros(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Micros(951_782_400_000_000).to_rfc3339(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Micros(1_738_806_202_273_999).to_rfc3339(), "2025-02-06T01:43:22.273Z");
        assert_eq!(Micros(4_102_444_799_999_999).to_rfc3339(), "2099-12-31T23:59:59.999Z");
        assert_eq!(Micros(253_402_300_800_000_000).to_rfc3339(), "10000-01-01T00:00:00.000Z");
    }

    #[test]
    fn sequence_numbers_end_at_two_to_the_53() {
        assert!(Seq::new(SEQ_MAX).is_ok());
        assert_eq!(Seq::new(SEQ_MAX + 1).unwrap_err().reason(), Reason::BadSeq);
        assert_eq!(Seq::new(SEQ_MAX).unwrap().plus(1).unwrap_err().reason(), Reason::BadSeq);
        assert_eq!(Seq::ZERO.plus(u64::MAX).unwrap_err().reason(), Reason::BadSeq);
    }
}
