//! All tests of the contract from outside, in one program: it is built and linked once.

mod car;
mod cbor;
mod decoders;
mod interop;
mod mst_diff;
mod support;
mod syntax;
mod tree;
