//! One subscriber of the firehose.
//!
//! Events are read from the store a batch at a time, from wherever it has them (its ring in memory, or its disk), and only
//! when those before are on their way. So a slow subscriber costs a batch of memory and nobody's time; it falls behind
//! without missing anything, until it stands still for too long, is overtaken by the retention, or holds what others need.

mod socket;
mod standing;

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use backend_api::{EventWindow, Kind, Reason, Seq, frame};
use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::socket::BUFFER_BYTES;
pub use self::socket::Socket;
pub use self::standing::Standing;
use crate::app::App;

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
    /// Nor do others, who began later, and all together hold too much.
    Overtaken,
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
    socket: Socket,
    /// Bytes of the batch that is being sent.
    held: usize,
    /// When the next ping is due.
    ping_at: Instant,
    /// When the first ping went out that nothing was heard after: only who was asked can be silent.
    unanswered: Option<Instant>,
}

impl Subscriber {
    /// Over a socket.
    #[must_use]
    pub fn new(app: Arc<App>, socket: Socket) -> Self {
        let ping_at = Instant::now() + app.timing.ping;
        Self { app, socket, held: 0, ping_at, unanswered: None }
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
            self.held = events.iter().map(|event| event.frame.len()).sum();
            for event in events {
                self.send(event.frame).await?;
                after = event.seq;
            }
            self.flush().await?;
            self.held = 0;
            while self.wait(after).await?.is_continue() {}
        }
    }

    /// Waits for an event, listening to the consumer meanwhile. Breaks if there is one.
    async fn wait(&mut self, after: Seq) -> Result<ControlFlow<()>, End> {
        tokio::select! {
            biased;
            said = self.socket.recv() => match said {
                Some(Message::Close(_)) | None => Err(End::Gone),
                // Pings are answered by the socket itself.
                Some(_) => {
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
        // What waited was flushed.
        self.socket.push_ping();
        self.flush().await?;
        let now = Instant::now();
        self.unanswered.get_or_insert(now);
        self.ping_at = now + self.app.timing.ping;
        Ok(())
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), End> {
        if self.socket.is_full() {
            self.flush().await?;
        }
        self.socket.push(frame);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        let mut flush = pin!(timeout(self.app.timing.send, self.socket.flush()));
        let done = if let Poll::Ready(done) = futures::poll!(flush.as_mut()) {
            done
        } else {
            let place = self.app.standing.enter(self.held + BUFFER_BYTES);
            tokio::select! {
                done = flush => done,
                () = place.overtaken() => return Err(End::Overtaken),
            }
        };
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::TooSlow),
        }
    }

    /// Says why, if anybody listens.
    async fn finish(mut self, end: End) {
        let error = |name, message: &str| Some(Bytes::from(frame::error(name, message)));
        let (last, code) = match end {
            End::Gone => (None, None),
            // It would hear it behind what it does not take: that goes at once.
            End::Overtaken => {
                return tracing::info!("a subscriber that stood still was ended: all together held too much");
            }
            End::TooSlow => {
                (error("ConsumerTooSlow", "the consumer did not take events for too long"), Some(CloseCode::Policy))
            }
            End::FutureCursor(message) => (error("FutureCursor", &message), Some(CloseCode::Policy)),
            End::Silent | End::Closing => (None, Some(CloseCode::Away)),
            End::Failed(e) => {
                tracing::error!("a subscription ended: {e}");
                (None, Some(CloseCode::Error))
            }
        };
        // Whoever does not read does not hear this either.
        let _ = timeout(LAST_WORD, async {
            self.socket.flush().await?;
            if let Some(message) = last {
                self.socket.push(message);
                self.socket.flush().await?;
            }
            if let Some(code) = code {
                self.socket.push_close(code);
            }
            // The consumer's own close, or the answer to it, ends the connection in good order.
            while self.socket.recv().await.is_some() {}
            Ok::<_, std::io::Error>(())
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
