//! The WebSocket of a subscriber.
//!
//! What comes in is understood by tungstenite. What goes out is not its business: it copies each message into a buffer that
//! never becomes smaller, and one commit of two megabytes would stay in the memory of each connection for as long as that
//! is open. Here large messages are sent from where they lie, which all who follow share.

use std::io::{self, ErrorKind, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Small messages are gathered up to so many bytes.
pub const BUFFER_BYTES: usize = 32 * 1024;
/// A message of so many is not copied.
const LARGE_BYTES: usize = 8 * 1024;
/// Consumers have nothing to say: their messages are control frames.
const INBOUND_BYTES_MAX: usize = 4 * 1024;

/// A connection that became a WebSocket.
pub struct Socket {
    io: TokioIo<Upgraded>,
    context: WebSocketContext,
    pipe: Pipe,
    /// The rest of a large message, whose start stands at the end of what waits in the pipe.
    large: Bytes,
}

impl Socket {
    /// Nothing was said on it yet.
    #[must_use]
    pub fn new(io: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(INBOUND_BYTES_MAX)
            .write_buffer_size(0)
            .max_message_size(Some(INBOUND_BYTES_MAX))
            .max_frame_size(Some(INBOUND_BYTES_MAX));
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { io: TokioIo::new(io), context, pipe: Pipe::default(), large: Bytes::new() }
    }

    /// True if it takes no message before a flush.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.large.is_empty() || self.pipe.outbound.len() >= BUFFER_BYTES
    }

    /// Takes a message of events. It must not be full.
    pub fn push(&mut self, message: Bytes) {
        self.begin(OpCode::Data(Data::Binary), message.len());
        if message.len() < LARGE_BYTES {
            self.pipe.outbound.extend_from_slice(&message);
        } else {
            self.large = message;
        }
    }

    /// Asks whether the consumer is there. It must not be full.
    pub fn push_ping(&mut self) {
        self.begin(OpCode::Control(Control::Ping), 0);
    }

    fn begin(&mut self, opcode: OpCode, len: usize) {
        debug_assert!(!self.is_full(), "a message within another one");
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        header.format(len as u64, &mut self.pipe).expect("the pipe takes everything");
    }

    /// Says goodbye. It must not be full.
    pub fn push_close(&mut self, code: CloseCode) {
        debug_assert!(!self.is_full(), "a message within another one");
        // The consumer may have said so first.
        let _ = self.context.close(&mut self.pipe, Some(CloseFrame { code, reason: "".into() }));
    }

    /// Sends what was pushed. Whoever stops waiting can go on later.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.io.write_all_buf(&mut (&mut self.pipe.outbound).chain(&mut self.large)).await?;
        // Not to be kept for as long as the consumer is idle.
        self.large = Bytes::new();
        self.io.flush().await
    }

    /// The next thing that the consumer says; `None` when it has gone. Pings are answered. Whoever stops waiting misses
    /// nothing.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            // An answer stands behind what was pushed before, and never within it.
            self.flush().await.ok()?;
            match self.context.read(&mut self.pipe) {
                Ok(message) => return Some(message),
                Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    // The answer to a goodbye.
                    let _ = self.flush().await;
                    return None;
                }
            }
            if !self.pipe.outbound.is_empty() {
                continue;
            }
            self.pipe.inbound.reserve(INBOUND_BYTES_MAX);
            if self.io.read_buf(&mut self.pipe.inbound).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// What was read and not understood yet, and what waits to be sent.
#[derive(Default)]
struct Pipe {
    inbound: BytesMut,
    outbound: BytesMut,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(self.inbound.len());
        self.inbound.copy_to_slice(&mut buf[..len]);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outbound.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
