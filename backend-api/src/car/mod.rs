//! CAR v1 files.
mod writer;

pub use writer::{append_block, block_size, header};
