//! The name of a link in the index of links.

use backend_api::Link;
use sha2::{Digest, Sha256};

/// SHA-256 over field, zero byte, target. Neither has a zero byte.
pub(crate) fn digest(link: &Link) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(link.field.as_bytes());
    hash.update([0]);
    hash.update(link.target.as_bytes());
    hash.finalize().into()
}
