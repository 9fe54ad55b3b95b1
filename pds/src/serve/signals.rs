//! The signals that end the host.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends with the first SIGINT or SIGTERM from now on.
pub(super) fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
