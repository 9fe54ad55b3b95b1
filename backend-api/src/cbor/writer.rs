//! Writing canonical DAG-CBOR.

use super::TAG_LINK;
use crate::cid::Cid;

/// Appends DAG-CBOR items to a buffer. Headers are always the shortest. What it cannot check is up to the caller: that
/// as many items follow a header as it says, and that map keys come in canonical order, which is shorter keys first,
/// then byte by byte.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// Goes on at the end of `out`.
    #[must_use]
    pub fn append_to(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// The header of a map; `pairs` keys, each followed by its value, come next.
    pub fn map(&mut self, pairs: usize) -> &mut Self {
        self.head(5, pairs as u64)
    }

    /// The header of a list; `items` items come next.
    pub fn array(&mut self, items: usize) -> &mut Self {
        self.head(4, items as u64)
    }

    /// A text, also a map key.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.head(3, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(2, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self
    }

    /// A byte string of `len` bytes that `write` appends: as many, which is up to it.
    pub fn bytes_of(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.head(2, len as u64);
        let end = self.out.len() + len;
        write(&mut self.out);
        debug_assert_eq!(self.out.len(), end, "the length that was said");
        self
    }

    /// An integer from 0 up.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    /// An integer of either sign.
    pub fn int(&mut self, value: i64) -> &mut Self {
        // CBOR writes a negative number n as -1 - n, which is its bitwise complement.
        if value < 0 { self.head(1, !value as u64) } else { self.head(0, value as u64) }
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    /// The null value.
    pub fn null(&mut self) -> &mut Self {
        self.out.push(0xf6);
        self
    }

    /// A CID link: tag 42 over a byte string that is 0x00 and the binary CID.
    pub fn link(&mut self, cid: &Cid) -> &mut Self {
        self.head(6, TAG_LINK).head(2, 1 + Cid::BYTES as u64);
        self.out.push(0);
        self.out.extend_from_slice(&cid.to_bytes());
        self
    }

    /// A CID link or null.
    pub fn link_or_null(&mut self, cid: Option<&Cid>) -> &mut Self {
        match cid {
            Some(cid) => self.link(cid),
            None => self.null(),
        }
    }

    /// One item that is encoded already, such as a whole record.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.out.extend_from_slice(item);
        self
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match value {
            0..24 => self.out.push(major | value as u8),
            24..0x100 => self.out.extend_from_slice(&[major | 24, value as u8]),
            0x100..0x1_0000 => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }
}
