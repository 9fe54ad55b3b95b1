//! CAR version 1 files: a header with the roots, then blocks one after the other
//! (<https://ipld.io/specs/transport/car/carv1/>).
//!
//! ```text
//! file    = header block*
//! header  = varint(length) DAG-CBOR {"roots": [CID...], "version": 1}
//! block   = varint(length) CID bytes      length counts the CID (36 bytes) and the bytes
//! ```

mod reader;
mod writer;

pub use reader::{CarEvent, CarLimits, CarReader};
pub use writer::{append_block, block_size, header};
