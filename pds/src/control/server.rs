//! The server's side.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend_api::{Error, Reason, Result};
use tokio::io::AsyncReadExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::address::Address;
use super::caller::Caller;
use super::wire::{self, Frame};

/// Answers that wait for a slow caller before the work waits, too.
const FRAMES_WAITING_MAX: usize = 8;

/// How long work in hand may take to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Does what requests ask for.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one request. All answers go to the caller; when this returns the connection ends.
    async fn handle(&self, request: String, file: Option<File>, caller: Caller);
}

/// A socket that is listened on. Dropped, it is gone.
pub struct Server {
    path: PathBuf,
    stopping: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on the socket of a data directory. A socket that a killed server left behind is replaced. To be called by
    /// whoever holds the store, within a runtime.
    ///
    /// # Errors
    /// [`Reason::Locked`] if another server listens there; [`Reason::ReadFailed`] with the path.
    pub fn listen(directory: &Path, handler: Arc<dyn Handler>) -> Result<Self> {
        let address = Address::of(directory).map_err(|e| failed(directory, &e))?;
        clear(&address)?;
        let path = address.path().to_owned();
        let listener = UnixListener::bind(address.short()).map_err(|e| failed(&path, &e))?;
        // The directory is its owner's only, so nobody else can have come in between.
        std::fs::set_permissions(address.short(), Permissions::from_mode(0o600)).map_err(|e| failed(&path, &e))?;
        let stopping = watch::Sender::new(false);
        let task = tokio::spawn(accept(listener, handler, stopping.subscribe()));
        Ok(Self { path, stopping, task: Some(task) })
    }

    /// Stops listening, tells all callers so, and waits for the work in hand to end; for a while only, since a caller who
    /// does not read its answers can hold it up.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err()
        {
            tracing::warn!("work on the control socket did not end in time, and was cut off");
            task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        // Left behind it does no harm: the next server replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn clear(address: &Address) -> Result<()> {
    let path = address.path();
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(path, &e)),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            let detail = format!("{}: something that is no socket has the name of the control socket", path.display());
            return Err(Error::new(Reason::WrongStore, detail));
        }
    }
    match std::os::unix::net::UnixStream::connect(address.short()) {
        Ok(_) => {
            let detail = format!("{}: another server listens here; stop it first", path.display());
            Err(Error::new(Reason::Locked, detail))
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|e| failed(path, &e))
        }
        Err(e) => Err(failed(path, &e)),
    }
}

async fn accept(listener: UnixListener, handler: Arc<dyn Handler>, stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stopped = stopping.clone();
    loop {
        tokio::select! {
            () = set(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&handler), stopping.clone()));
                }
                // Out of descriptors, for one: a connection that ends, or half a second, may help.
                Err(error) => {
                    tracing::warn!(%error, "the control socket takes no connection");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: UnixStream, handler: Arc<dyn Handler>, mut stopping: watch::Receiver<bool>) {
    let request = tokio::select! {
        () = set(&mut stopping) => return,
        request = wire::receive_request(&stream) => request,
    };
    let (request, file) = match request {
        Ok(Some(request)) => request,
        Ok(None) => return,
        Err(error) => return tracing::warn!(%error, "a request on the control socket cannot be read"),
    };
    let (read, write) = stream.into_split();
    let (frames, waiting) = mpsc::channel(FRAMES_WAITING_MAX);
    let hung_up = watch::Sender::new(false);
    let caller = Caller::new(frames, hung_up.subscribe(), stopping);
    let work = async { tokio::join!(handler.handle(request, file, caller), send(write, waiting, &hung_up)) };
    tokio::select! {
        _ = work => {}
        () = watch_for_end(read, &hung_up) => {}
    }
}

/// Sends answers until there are none. Of a caller who is gone it takes them all the same, so that the work does not wait.
async fn send(mut write: OwnedWriteHalf, mut waiting: mpsc::Receiver<Frame>, hung_up: &watch::Sender<bool>) {
    let mut is_there = true;
    while let Some(frame) = waiting.recv().await {
        if is_there && frame.write(&mut write).await.is_err() {
            is_there = false;
            hung_up.send_replace(true);
        }
    }
}

/// Notes when the caller closes its side. Never ends: the work decides what to do about it.
async fn watch_for_end(mut read: OwnedReadHalf, hung_up: &watch::Sender<bool>) {
    let mut byte = [0];
    while matches!(read.read(&mut byte).await, Ok(1)) {}
    hung_up.send_replace(true);
    std::future::pending().await
}

/// Waits until it is set, or nobody is left who could set it.
async fn set(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(Reason::ReadFailed, format!("{}: {error}", path.display()))
}
