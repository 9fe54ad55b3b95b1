//! The command's side.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::address::Address;
use super::wire::{self, Frame};

/// A connection to a server, good for one request.
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

impl Client {
    /// Connects to the server of a data directory; `None` if none runs.
    ///
    /// # Errors
    /// [`Reason::Locked`] if the socket is another user's; [`Reason::ReadFailed`] with the path.
    pub async fn connect(directory: &Path) -> Result<Option<Self>> {
        let address = match Address::of(directory) {
            Ok(address) => address,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::new(Reason::ReadFailed, format!("{}: {e}", directory.display()))),
        };
        match UnixStream::connect(address.short()).await {
            Ok(stream) => Ok(Some(Self { stream, path: address.path().to_owned() })),
            // No file, or one that a killed server left behind.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                let detail = format!("{}: {e}; run the command as the server's user", address.path().display());
                Err(Error::new(Reason::Locked, detail))
            }
            Err(e) => Err(Error::new(Reason::ReadFailed, format!("{}: {e}", address.path().display()))),
        }
    }

    /// Sends the request, with an open file if it needs one.
    ///
    /// # Errors
    /// [`Reason::Closed`] if the server went away.
    pub async fn call(self, request: &str, file: Option<&File>) -> Result<(Answers, HangUp)> {
        let Self { stream, path } = self;
        wire::send_request(&stream, request, file).await.map_err(|e| lost(&path, &e))?;
        let (read, write) = stream.into_split();
        Ok((Answers { read: BufReader::new(read), path }, HangUp { write }))
    }
}

/// The answers to a request.
pub struct Answers {
    read: BufReader<OwnedReadHalf>,
    path: PathBuf,
}

impl Answers {
    /// The next answer; `None` after the last. After a future that was dropped before its end there is no other.
    ///
    /// # Errors
    /// [`Reason::Closed`] if the server went away.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        Frame::read(&mut self.read).await.map_err(|e| lost(&self.path, &e))
    }
}

/// The way to tell the server that its work is no longer wanted: dropping this does. The last answer still comes.
pub struct HangUp {
    #[allow(dead_code, reason = "held open, for closing it is what says so")]
    write: OwnedWriteHalf,
}

fn lost(path: &Path, error: &io::Error) -> Error {
    Error::new(Reason::Closed, format!("{}: the connection to the server was lost: {error}", path.display()))
}
