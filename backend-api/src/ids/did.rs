//! Decentralized identifiers: who an account is.

use super::{refuse, text_name};
use crate::error::{Reason, Result};

/// A DID of any method, such as `did:plc:ewvi7nxzyoun6zhxrhs64oiz`. Kept exactly as given: DIDs are compared byte by
/// byte. Syntax: <https://atproto.com/specs/did>.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(Box<str>);

/// The bytes that an identifier may have. A table: DIDs are checked each time that something with one is read.
const IN_ID: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'%' | b'-');
        byte += 1;
    }
    table
};

impl Did {
    /// The longest DID, in bytes.
    pub const BYTES_MAX: usize = 2048;

    /// The method, such as `plc`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    fn check(text: &str) -> Result<()> {
        let bad = |why| Err(refuse(Reason::BadDid, text, why));
        if text.len() > Self::BYTES_MAX {
            return bad("is longer than 2048 bytes");
        }
        let Some((method, id)) = text.strip_prefix("did:").and_then(|rest| rest.split_once(':')) else {
            return bad("is not of the form did:method:identifier");
        };
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_lowercase()) {
            return bad("has a method that is not lower-case letters");
        }
        if !id.bytes().all(|b| IN_ID[usize::from(b)]) {
            return bad("has a character that a DID cannot have");
        }
        match id.bytes().last() {
            None => bad("has no identifier"),
            Some(b':' | b'%') => bad("ends with a colon or a percent sign"),
            Some(_) => Ok(()),
        }
    }
}

text_name!(Did, normal: |text| text);
