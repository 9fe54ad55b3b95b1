//! Reading canonical DAG-CBOR of a known shape.

use super::{Malformed, TAG_LINK};
use crate::cid::Cid;

type Result<T> = std::result::Result<T, Malformed>;

/// Takes DAG-CBOR items off the front of a byte string, borrowing from it. Refuses what is not canonical: headers that
/// are longer than needed, lengths left open. The order of map keys is checked by asking for them in order, with
/// [`Reader::key`].
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it got.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// How much is left, in bytes. Bounds what a header can promise.
    #[must_use]
    pub const fn left_bytes(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The number of pairs of a map.
    ///
    /// # Errors
    /// Like every method here: [`Malformed`] if the next item is of another sort, cut short or not canonical.
    pub fn map(&mut self) -> Result<usize> {
        self.count(5, "a map")
    }

    /// The number of items of a list.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn array(&mut self) -> Result<usize> {
        self.count(4, "a list")
    }

    /// A text.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn text(&mut self) -> Result<&'a str> {
        let at = self.at;
        let bytes = self.string(3, "a text")?;
        std::str::from_utf8(bytes).map_err(|_| Malformed::new(at, "a text that is not UTF-8"))
    }

    /// The map key `name`, and no other.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn key(&mut self, name: &str) -> Result<()> {
        let at = self.at;
        match self.text()? {
            found if found == name => Ok(()),
            found => Err(Malformed::new(at, format!("found {found:.40?} where the key {name:?} belongs"))),
        }
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        self.string(2, "a byte string")
    }

    /// An integer from 0 up.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn uint(&mut self) -> Result<u64> {
        self.head(0, "an integer from 0 up")
    }

    /// True, and taken, if the next item is null.
    pub fn null(&mut self) -> bool {
        let is_null = self.bytes.get(self.at) == Some(&0xf6);
        self.at += usize::from(is_null);
        is_null
    }

    /// A CID link.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn link(&mut self) -> Result<Cid> {
        let at = self.at;
        if self.head(6, "a CID link")? != TAG_LINK {
            return Err(Malformed::new(at, "a tag that is not 42"));
        }
        match self.bytes()? {
            [0, cid @ ..] => Cid::from_bytes(cid).map_err(|e| Malformed::new(at, e.detail())),
            _ => Err(Malformed::new(at, "a CID link without its leading zero")),
        }
    }

    /// A CID link or null.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn link_or_null(&mut self) -> Result<Option<Cid>> {
        if self.null() { Ok(None) } else { self.link().map(Some) }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn end(&self) -> Result<()> {
        match self.left_bytes() {
            0 => Ok(()),
            left => Err(Malformed::new(self.at, format!("{left} bytes after the end"))),
        }
    }

    fn count(&mut self, major: u8, expected: &str) -> Result<usize> {
        let at = self.at;
        let count = self.head(major, expected)?;
        // Each item takes a byte at least, so that nobody reserves memory for items that cannot be there.
        match usize::try_from(count) {
            Ok(count) if count <= self.left_bytes() => Ok(count),
            _ => Err(Malformed::new(at, format!("{count} items announced, {} bytes left", self.left_bytes()))),
        }
    }

    fn string(&mut self, major: u8, expected: &str) -> Result<&'a [u8]> {
        let at = self.at;
        let length = self.head(major, expected)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.left_bytes() => {
                let string = &self.bytes[self.at..self.at + length];
                self.at += length;
                Ok(string)
            }
            _ => Err(Malformed::new(at, format!("{length} bytes announced, {} left", self.left_bytes()))),
        }
    }

    fn head(&mut self, major: u8, expected: &str) -> Result<u64> {
        let at = self.at;
        let Some(&first) = self.bytes.get(at) else {
            return Err(Malformed::new(at, format!("the end, where {expected} belongs")));
        };
        if first >> 5 != major {
            return Err(Malformed::new(at, format!("byte 0x{first:02x} where {expected} belongs")));
        }
        let (width, least) = match first & 31 {
            small @ 0..24 => {
                self.at += 1;
                return Ok(u64::from(small));
            }
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(Malformed::new(at, "a length left open, or a reserved header")),
        };
        let Some(digits) = self.bytes.get(at + 1..at + 1 + width) else {
            return Err(Malformed::new(at, "the end inside a header"));
        };
        let value = digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit));
        if value < least {
            return Err(Malformed::new(at, "a header that is longer than needed"));
        }
        self.at += 1 + width;
        Ok(value)
    }
}
