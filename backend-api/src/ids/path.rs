//! Record paths: the keys of a repository's tree.

use super::{Nsid, RecordKey, refuse, text_name};
use crate::error::{Reason, Result};

/// `collection/record-key` as one text, such as `app.bsky.feed.post/3jzfcijpj2z2a`. Ordered by its bytes, which is the
/// order of the repository's tree, and not the order of (collection, record key) pairs: `-` and `.` sort before `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPath(Box<str>);

impl RecordPath {
    /// The longest path, in bytes.
    pub const BYTES_MAX: usize = Nsid::BYTES_MAX + 1 + RecordKey::BYTES_MAX;

    /// Joins its two parts.
    #[must_use]
    pub fn new(collection: &Nsid, rkey: &RecordKey) -> Self {
        Self(format!("{collection}/{rkey}").into_boxed_str())
    }

    /// The collection, an NSID.
    #[must_use]
    pub fn collection(&self) -> &str {
        self.parts().0
    }

    /// The record key.
    #[must_use]
    pub fn rkey(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        // A slash is there by construction.
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }

    fn check(text: &str) -> Result<()> {
        let Some((collection, rkey)) = text.split_once('/') else {
            return Err(refuse(Reason::BadRecordKey, text, "is not of the form collection/record-key"));
        };
        Nsid::check(collection).and_then(|()| RecordKey::check(rkey)).map_err(|e| e.context("record path"))
    }
}

text_name!(RecordPath, normal: |text| text);
