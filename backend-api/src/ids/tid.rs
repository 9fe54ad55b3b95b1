//! Timestamp identifiers: revisions and record keys that sort by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::refuse;
use crate::error::{Error, Reason, Result};

/// A TID: microseconds since 1970 (53 bits) and a clock identifier (10 bits), written as 13 characters that sort like
/// the number. Syntax: <https://atproto.com/specs/tid>.
///
/// The published syntax lets the text `j...` through, which sets the highest bit; so it is kept, not refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(u64);

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
const CLOCK_BITS: u32 = 10;
const CLOCK_MASK: u64 = (1 << CLOCK_BITS) - 1;
const MICROS_MAX: u64 = (1 << 53) - 1;

impl Tid {
    /// Length of the text, in bytes.
    pub const TEXT_BYTES: usize = 13;

    /// From a time in microseconds since 1970 and a clock identifier. A time after the year 2255 is taken for the last
    /// that fits; of the clock identifier the low 10 bits are used.
    #[must_use]
    pub const fn new(micros: u64, clock_id: u16) -> Self {
        let micros = if micros > MICROS_MAX { MICROS_MAX } else { micros };
        Self(micros << CLOCK_BITS | (clock_id as u64 & CLOCK_MASK))
    }

    /// From the number, as [`Tid::as_u64`] gives it.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The number. It orders as the text does.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The time, in microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0 >> CLOCK_BITS
    }

    /// The clock identifier, 10 bits.
    #[must_use]
    pub const fn clock_id(self) -> u16 {
        (self.0 & CLOCK_MASK) as u16
    }

    /// The next TID of the same clock: `now_micros`, or one microsecond after `last` if the clock went back or stood
    /// still. Always greater than `last`; `None` if none is.
    #[must_use]
    pub fn next_after(last: Self, now_micros: u64) -> Option<Self> {
        let micros = now_micros.min(MICROS_MAX).max(last.micros() + 1);
        (micros <= u64::MAX >> CLOCK_BITS).then_some(Self(micros << CLOCK_BITS | (last.0 & CLOCK_MASK)))
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: [u8; Self::TEXT_BYTES] = std::array::from_fn(|at| {
            let digits_after = Self::TEXT_BYTES - 1 - at;
            ALPHABET[(self.0 >> (5 * digits_after)) as usize & 31]
        });
        // The alphabet is ASCII.
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Tid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() != Self::TEXT_BYTES {
            return Err(refuse(Reason::BadTid, text, "is not 13 characters long"));
        }
        let mut value: u64 = 0;
        for (at, byte) in text.bytes().enumerate() {
            let digit = match byte {
                b'2'..=b'7' => byte - b'2',
                b'a'..=b'z' => byte - b'a' + 6,
                _ => return Err(refuse(Reason::BadTid, text, "has a character outside 2-7 and a-z")),
            };
            // 13 characters are 65 bits: the first carries only four.
            if at == 0 && digit > 15 {
                return Err(refuse(Reason::BadTid, text, "is greater than 64 bits: its first character is beyond `j`"));
            }
            value = value << 5 | u64::from(digit);
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for Tid {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl TryFrom<&str> for Tid {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        text.parse()
    }
}

/// Text where people read it, the number elsewhere.
impl Serialize for Tid {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Tid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(d).map(Self)
        }
    }
}
