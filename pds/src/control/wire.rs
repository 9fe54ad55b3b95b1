//! Requests and answers as bytes.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::{ANSWER_BYTES_MAX, PIECE_BYTES_MAX, REQUEST_BYTES_MAX};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line of JSON, without its end.
    Line(String),
    /// Bytes as they are.
    Bytes(Bytes),
}

/// The line before raw bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    bytes: usize,
}

impl Frame {
    /// Writes the frame.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&self, out: &mut W) -> io::Result<()> {
        match self {
            Self::Line(line) => {
                out.write_all(line.as_bytes()).await?;
                out.write_all(b"\n").await
            }
            Self::Bytes(bytes) => {
                let line = serde_json::to_string(&Announced { bytes: bytes.len() })?;
                out.write_all(line.as_bytes()).await?;
                out.write_all(b"\n").await?;
                out.write_all(bytes).await
            }
        }
    }

    /// Reads the next frame; `None` at the end.
    pub(super) async fn read<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        (&mut *from).take(ANSWER_BYTES_MAX as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err(bad("the connection ended within a line, or the line is too long"));
        }
        let line = String::from_utf8(line).map_err(|_| bad("a line that is not UTF-8"))?;
        let Ok(Announced { bytes: len }) = serde_json::from_str(&line) else { return Ok(Some(Self::Line(line))) };
        if len > PIECE_BYTES_MAX {
            return Err(bad("a piece of bytes that is too long"));
        }
        let mut bytes = vec![0; len];
        from.read_exact(&mut bytes).await?;
        Ok(Some(Self::Bytes(bytes.into())))
    }
}

/// Sends the request line, the open file's descriptor beside its first byte.
pub(super) async fn send_request(stream: &UnixStream, line: &str, file: Option<&File>) -> io::Result<()> {
    let line = [line.as_bytes(), b"\n"].concat();
    let mut fds: Vec<BorrowedFd<'_>> = file.iter().map(|file| file.as_fd()).collect();
    let mut sent = 0;
    while sent < line.len() {
        sent += stream
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
                    return Err(io::Error::other("no room for a descriptor"));
                }
                let part = [IoSlice::new(&line[sent..])];
                Ok(rustix::net::sendmsg(stream, &part, &mut control, SendFlags::NOSIGNAL)?)
            })
            .await?;
        fds.clear();
    }
    Ok(())
}

/// Receives a request line and the descriptor that came with it; `None` if the caller went without asking.
pub(super) async fn receive_request(stream: &UnixStream) -> io::Result<Option<(String, Option<File>)>> {
    let mut line = Vec::new();
    let mut file = None;
    loop {
        let mut buffer = vec![0; 4096];
        let (len, fd) = stream.async_io(Interest::READABLE, || receive_part(stream, &mut buffer)).await?;
        file = file.or(fd);
        if len == 0 {
            return if line.is_empty() { Ok(None) } else { Err(bad("a request that does not end")) };
        }
        line.extend_from_slice(&buffer[..len]);
        if line.last() == Some(&b'\n') {
            line.pop();
            let line = String::from_utf8(line).map_err(|_| bad("a request that is not UTF-8"))?;
            return Ok(Some((line, file.map(File::from))));
        }
        if line.len() > REQUEST_BYTES_MAX {
            return Err(bad("a request that is too long"));
        }
    }
}

fn receive_part(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = rustix::net::recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut file = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            file = fds.last();
        }
    }
    Ok((received.bytes, file))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
