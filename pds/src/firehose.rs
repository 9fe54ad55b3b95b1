//! One subscriber of the firehose.
//!
//! Events are read from the store a batch at a time, from wherever it has them (its ring in memory, or its disk), and only
//! when those before are on their way. So a slow subscriber costs a batch of memory and nobody's time; it falls behind
//! without missing anything, until it stands still for too long or is overtaken by the retention.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use backend_api::{EventWindow, Kind, Reason, Seq, frame};
use bytes::Bytes;
use futures::SinkExt;
use tokio::time::{Instant, timeout};

use crate::app::App;

/// Bytes that wait for the socket, besides one frame.
pub const BUFFER_BYTES: usize = 128 * 1024;
/// Events of one batch.
const BATCH_EVENTS: usize = 256;
/// Bytes of one batch, unless one event has more. Each subscriber that does not read holds one: large batches are no
/// quicker, and let whoever opens connections take the machine's memory.
const BATCH_BYTES: usize = 128 * 1024;
/// How long a consumer that is too slow may take to hear that it is.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a subscription ends.
enum End {
    /// The consumer has gone.
    Gone,
    /// The consumer does not read.
    TooSlow,
    /// Nothing was heard of the consumer for too long.
    Silent,
    /// The host is ending, or the store has.
    Closing,
    /// The cursor is of another host, or of the future.
    FutureCursor(String),
    /// The store cannot be read.
    Failed(backend_api::Error),
}

/// One subscriber.
pub struct Subscriber {
    app: Arc<App>,
    socket: WebSocket,
    /// When the next ping is due.
    ping_at: Instant,
    /// When the first ping went out that nothing was heard after: only who was asked can be silent.
    unanswered: Option<Instant>,
}

impl Subscriber {
    /// Over a socket.
    #[must_use]
    pub fn new(app: Arc<App>, socket: WebSocket) -> Self {
        let ping_at = Instant::now() + app.timing.ping;
        Self { app, socket, ping_at, unanswered: None }
    }

    /// Serves it until it goes, from where the events stood when it asked.
    pub async fn run(mut self, cursor: Option<Seq>, window: EventWindow) {
        let app = Arc::clone(&self.app);
        app.subscribers.send_modify(|count| *count += 1);
        let end = match self.start(cursor, window).await {
            Ok(after) => match self.follow(after).await {
                Ok(never) => match never {},
                Err(end) => end,
            },
            Err(end) => end,
        };
        self.finish(end).await;
        app.subscribers.send_modify(|count| *count -= 1);
    }

    /// Where delivery starts: after the cursor; live without one; with the oldest event for 0; with the oldest, and a
    /// notice, for one that is older (Sync 1.1, as the reference implementation does).
    async fn start(&mut self, cursor: Option<Seq>, window: EventWindow) -> Result<Seq, End> {
        let before_oldest = Seq::new(window.oldest.get().saturating_sub(1)).map_err(End::from)?;
        match cursor {
            None => Ok(window.head),
            Some(Seq::ZERO) => Ok(before_oldest),
            Some(cursor) if cursor > window.head => {
                Err(End::FutureCursor(format!("the cursor {cursor} is beyond the newest event, {}", window.head)))
            }
            Some(cursor) if cursor < before_oldest => {
                let message = format!("events up to {before_oldest} are no longer kept");
                self.send(frame::info("OutdatedCursor", &message).into()).await?;
                self.flush().await?;
                Ok(before_oldest)
            }
            Some(cursor) => Ok(cursor),
        }
    }

    async fn follow(&mut self, mut after: Seq) -> Result<std::convert::Infallible, End> {
        loop {
            if self.app.closing.has_begun() {
                return Err(End::Closing);
            }
            let events = self.app.backend.events(after, BATCH_EVENTS, BATCH_BYTES).await.map_err(End::from)?;
            for event in events {
                self.send(event.frame).await?;
                after = event.seq;
            }
            self.flush().await?;
            while self.wait(after).await?.is_continue() {}
        }
    }

    /// Waits for an event, listening to the consumer meanwhile. Breaks if there is one.
    async fn wait(&mut self, after: Seq) -> Result<ControlFlow<()>, End> {
        tokio::select! {
            biased;
            said = self.socket.recv() => match said {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => Err(End::Gone),
                // Pings are answered by the socket itself.
                Some(Ok(_)) => {
                    self.unanswered = None;
                    Ok(ControlFlow::Continue(()))
                }
            },
            () = self.app.closing.clone().begun() => Err(End::Closing),
            woken = self.app.backend.wait_events(after) => woken.map(|_| ControlFlow::Break(())).map_err(End::from),
            () = tokio::time::sleep_until(self.ping_at) => {
                self.ping().await?;
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// Asks whether the consumer is still there, unless it has owed the answer for too long.
    async fn ping(&mut self) -> Result<(), End> {
        if self.unanswered.is_some_and(|since| since.elapsed() > self.app.timing.silence) {
            return Err(End::Silent);
        }
        self.put(Message::Ping(Bytes::new())).await?;
        self.flush().await?;
        let now = Instant::now();
        self.unanswered.get_or_insert(now);
        self.ping_at = now + self.app.timing.ping;
        Ok(())
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), End> {
        self.put(Message::Binary(frame)).await
    }

    /// Hands a message to the socket, which takes it once its buffer has room.
    async fn put(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.app.timing.send, self.socket.feed(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::TooSlow),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        match timeout(self.app.timing.send, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::TooSlow),
        }
    }

    /// Says why, if anybody listens.
    async fn finish(mut self, end: End) {
        let error = |name, message: &str| Message::Binary(frame::error(name, message).into());
        let (last, code) = match end {
            End::Gone => return,
            End::TooSlow => {
                (Some(error("ConsumerTooSlow", "the consumer did not take events for too long")), close_code::POLICY)
            }
            End::FutureCursor(message) => (Some(error("FutureCursor", &message)), close_code::POLICY),
            End::Silent | End::Closing => (None, close_code::AWAY),
            End::Failed(e) => {
                tracing::error!("a subscription ended: {e}");
                (None, close_code::ERROR)
            }
        };
        let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
        // Whoever does not read does not hear this either.
        let _ = timeout(LAST_WORD, async {
            for message in last.into_iter().chain([close]) {
                self.socket.send(message).await?;
            }
            // The consumer's own close ends the connection in good order.
            while self.socket.recv().await.is_some_and(|said| said.is_ok()) {}
            Ok::<_, axum::Error>(())
        })
        .await;
    }
}

impl From<backend_api::Error> for End {
    fn from(e: backend_api::Error) -> Self {
        match (e.reason(), e.kind()) {
            // The retention has overtaken it.
            (Reason::CursorGone, _) => Self::TooSlow,
            (Reason::Closed, _) => Self::Closing,
            (_, Kind::Gone) => Self::TooSlow,
            _ => Self::Failed(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_waits_for_subscribers_that_do_not_read_is_a_gibibyte_at_the_most() {
        let subscribers = Config::default().connections_max as usize;
        assert!(subscribers * (BATCH_BYTES + BUFFER_BYTES) <= 1 << 30);
    }
}
