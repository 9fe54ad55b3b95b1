//! Record keys: which record of a collection.

use super::{refuse, text_name};
use crate::error::{Reason, Result};

/// A record key such as `3jzfcijpj2z2a` or `self`. Syntax: <https://atproto.com/specs/record-key>.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(Box<str>);

impl RecordKey {
    /// The longest record key, in bytes.
    pub const BYTES_MAX: usize = 512;

    pub(super) fn check(text: &str) -> Result<()> {
        let bad = |why| Err(refuse(Reason::BadRecordKey, text, why));
        if text.is_empty() || text.len() > Self::BYTES_MAX {
            return bad("is not 1 to 512 bytes long");
        }
        if matches!(text, "." | "..") {
            return bad("is a reserved name");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:~-".contains(&b)) {
            return bad("has a character that a record key cannot have");
        }
        Ok(())
    }
}

text_name!(RecordKey, normal: |text| text);
