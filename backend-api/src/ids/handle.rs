//! Handles: what people call an account.

use super::{is_label, refuse, text_name};
use crate::error::{Reason, Result};

/// A handle: a host name such as `alice.example.com`, in lower case. Syntax: <https://atproto.com/specs/handle>.
/// Names that are reserved by policy (`.local`, `.invalid`) are well-formed; refusing them is up to the host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(Box<str>);

impl Handle {
    /// The longest handle, in bytes.
    pub const BYTES_MAX: usize = 253;

    fn check(text: &str) -> Result<()> {
        let bad = |why| Err(refuse(Reason::BadHandle, text, why));
        if text.len() > Self::BYTES_MAX {
            return bad("is longer than 253 bytes");
        }
        let Some((_, top)) = text.rsplit_once('.') else {
            return bad("has no dot");
        };
        if !text.split('.').all(is_label) {
            return bad("has a part that is not 1 to 63 letters, digits and inner hyphens");
        }
        if !top.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return bad("has a last part that does not start with a letter");
        }
        Ok(())
    }
}

text_name!(Handle, normal: |mut text| {
    text.make_ascii_lowercase();
    text
});
