//! Namespaced identifiers: what kind of record a collection holds.

use super::{LABEL_BYTES_MAX, is_label, refuse, text_name};
use crate::error::{Reason, Result};

/// An NSID such as `app.bsky.feed.post`. Kept exactly as given. Syntax: <https://atproto.com/specs/nsid>.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nsid(Box<str>);

impl Nsid {
    /// The longest NSID, in bytes. Only the whole is bounded, as the published vectors have it, though the number comes
    /// from a domain of 253, a dot and a name of 63.
    pub const BYTES_MAX: usize = 317;

    pub(super) fn check(text: &str) -> Result<()> {
        let bad = |why| Err(refuse(Reason::BadNsid, text, why));
        if text.len() > Self::BYTES_MAX {
            return bad("is longer than 317 bytes");
        }
        let Some((authority, name)) = text.rsplit_once('.').filter(|(authority, _)| authority.contains('.')) else {
            return bad("has fewer than three parts");
        };
        if !authority.split('.').all(is_label) {
            return bad("has a part that is not 1 to 63 letters, digits and inner hyphens");
        }
        if !authority.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return bad("does not start with a letter");
        }
        let letter_first = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !letter_first || name.len() > LABEL_BYTES_MAX || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return bad("has a name that is not a letter and up to 62 letters and digits");
        }
        Ok(())
    }
}

text_name!(Nsid, normal: |text| text);
