//! The control socket: how a command reaches the server that holds the store.
//!
//! A running server listens on the unix socket `control.sock` in its data directory, readable and writable by its user
//! only. A connection carries one request: a line of JSON, with an open file beside it if the request needs one (as a
//! descriptor, so that the server reads what the caller may read, wherever it runs). The answers are lines of JSON; an
//! answer `{"bytes":N}` is followed by N bytes as they are. A caller that closes its side no longer wants the work.
//!
//! This room moves requests and answers, and knows nothing of what they say.

mod address;
mod caller;
mod client;
mod server;
mod wire;

pub use caller::Caller;
pub use client::{Answers, Client, HangUp};
pub use server::{Handler, Server};
pub use wire::Frame;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Bytes of a request at the most.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Bytes of an answer line at the most: a report may name a great many blocks.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Bytes of one piece of raw bytes at the most.
const PIECE_BYTES_MAX: usize = 8 << 20;
