//! The other end of a connection, as the work sees it.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::wire::Frame;

/// Who asked. Takes the answers, and is gone once nobody wants them.
#[derive(Clone)]
pub struct Caller {
    frames: mpsc::Sender<Frame>,
    hung_up: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
}

impl Caller {
    pub(super) const fn new(
        frames: mpsc::Sender<Frame>,
        hung_up: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { frames, hung_up, stopping }
    }

    /// Answers with a line of JSON. An answer to a caller who is gone goes nowhere.
    pub async fn line(&self, line: String) {
        let _ = self.frames.send(Frame::Line(line)).await;
    }

    /// Answers with a line of JSON if that can be done at once: for news that the next news makes worthless.
    pub fn line_if_idle(&self, line: String) {
        let _ = self.frames.try_send(Frame::Line(line));
    }

    /// Answers with bytes.
    pub async fn bytes(&self, bytes: Bytes) {
        let _ = self.frames.send(Frame::Bytes(bytes)).await;
    }

    /// True if the caller hung up, or the server is about to stop.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        *self.hung_up.borrow() || *self.stopping.borrow()
    }

    /// Waits until [`Caller::is_gone`].
    pub async fn gone(&self) {
        let (mut hung_up, mut stopping) = (self.hung_up.clone(), self.stopping.clone());
        // A sender that is dropped is gone, too.
        tokio::select! {
            _ = hung_up.wait_for(|gone| *gone) => {}
            _ = stopping.wait_for(|gone| *gone) => {}
        }
    }
}
