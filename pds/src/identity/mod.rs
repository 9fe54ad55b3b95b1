//! Who is meant: handles, DIDs, keys, DID documents.

mod base58;
pub mod directory;
pub mod document;
pub mod host;
pub mod keys;
pub mod plc;
