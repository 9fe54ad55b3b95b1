//! Where a command's work is done: in the server that holds the store, or here over a store that was opened for it.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backend_api::{Backend, Error, Reason, Result};
use bytes::Bytes;
use tokio::sync::watch;

use super::message::Message;
use super::output::Output;
use super::screen::Screen;
use super::work::{self, Follower, Outcome, Progress, Request};
use crate::config::Config;
use crate::control::{Answers, Client, Frame, HangUp};

/// Reaches the store for one command.
pub struct Session {
    place: Place,
    screen: Arc<Screen>,
    cancelled: watch::Sender<bool>,
}

enum Place {
    /// In the server of the configuration's data directory.
    Server(Config),
    /// Here.
    Store(Arc<dyn Backend>),
}

impl Session {
    /// Finds the server of the configuration's data directory, or opens the store; with `repair`, after its files were
    /// healed.
    ///
    /// # Errors
    /// Those of the engine's open; [`Reason::Locked`] if something else holds the store.
    pub async fn open(config: Config, repair: bool) -> Result<Self> {
        let place = match Client::connect(&config.data_directory).await? {
            Some(_) => Place::Server(config),
            None if repair => Place::Store(crate::storage::open_repaired(&config.storage).await?),
            None => Place::Store(opened(config).await?),
        };
        Ok(Self { place, screen: Arc::new(Screen::new()), cancelled: watch::Sender::new(false) })
    }

    /// Works over a store that is open.
    #[must_use]
    pub fn over(backend: Arc<dyn Backend>) -> Self {
        Self { place: Place::Store(backend), screen: Arc::new(Screen::new()), cancelled: watch::Sender::new(false) }
    }

    /// Ends the work when the user asks for it with Ctrl-C.
    pub fn end_on_interrupt(&self) {
        let cancelled = self.cancelled.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                cancelled.send_replace(true);
            }
        });
    }

    /// As the interrupt does.
    #[cfg(test)]
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// True once the user has asked for the end: what was not begun is not to be begun.
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Does what is asked. `what` names it on the screen; `output` takes the bytes that it gives out.
    ///
    /// # Errors
    /// The refusal.
    pub async fn run(
        &self,
        what: &str,
        request: Request,
        file: Option<File>,
        output: Option<Output>,
    ) -> Result<Outcome> {
        let local = Arc::new(Local {
            what: what.to_owned(),
            screen: Arc::clone(&self.screen),
            output: Mutex::new(output),
            cancelled: self.cancelled.subscribe(),
        });
        let result = match &self.place {
            Place::Server(config) => ask(&config.data_directory, &request, file.as_ref(), &local).await,
            Place::Store(backend) => {
                let follower: Arc<dyn Follower> = Arc::clone(&local) as _;
                work::perform(&**backend, request, file, &follower).await
            }
        };
        self.screen.clear();
        let outcome = result?;
        local.finish()?;
        Ok(outcome)
    }

    /// Closes a store that was opened.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn close(self) -> Result<()> {
        match self.place {
            Place::Server(_) => Ok(()),
            Place::Store(backend) => backend.close().await,
        }
    }
}

/// Opens the store of a configuration.
pub async fn opened(config: Config) -> Result<Arc<dyn Backend>> {
    crate::storage::open(&config.storage).await
}

async fn ask(directory: &Path, request: &Request, file: Option<&File>, local: &Local) -> Result<Outcome> {
    let gone = || Error::new(Reason::Closed, "the server ended before the work did");
    let client = Client::connect(directory).await?.ok_or_else(gone)?;
    let line = serde_json::to_string(request)
        .map_err(|e| Error::new(Reason::BadRequest, format!("the request cannot be written down: {e}")))?;
    let (mut answers, hang_up) = client.call(&line, file).await?;
    let mut hang_up = Some(hang_up);
    while let Some(frame) = next(&mut answers, local, &mut hang_up).await? {
        let line = match frame {
            Frame::Bytes(bytes) => {
                local.bytes(bytes).await?;
                continue;
            }
            Frame::Line(line) => line,
        };
        let message = serde_json::from_str(&line)
            .map_err(|e| Error::new(Reason::BadRequest, format!("the server's answer is not understood: {e}")))?;
        match message {
            Message::Progress(progress) => local.progress(progress),
            Message::Done(outcome) => return Ok(outcome),
            Message::Failed { reason, detail } => return Err(Message::error(&reason, detail)),
        }
    }
    Err(gone())
}

/// The next answer. If the work is no longer wanted the server is told, and what it says to that is the answer.
async fn next(answers: &mut Answers, local: &Local, hang_up: &mut Option<HangUp>) -> Result<Option<Frame>> {
    let mut next = std::pin::pin!(answers.next());
    tokio::select! {
        frame = &mut next => return frame,
        () = local.cancelled() => *hang_up = None,
    }
    next.await
}

/// The screen and the output of this process.
struct Local {
    what: String,
    screen: Arc<Screen>,
    output: Mutex<Option<Output>>,
    cancelled: watch::Receiver<bool>,
}

impl Local {
    fn finish(&self) -> Result<()> {
        match self.output.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(output) => output.finish(),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Follower for Local {
    fn progress(&self, progress: Progress) {
        self.screen.progress(&self.what, progress);
    }

    async fn bytes(&self, bytes: Bytes) -> Result<()> {
        match &mut *self.output.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(output) => output.write(&bytes),
            None => Ok(()),
        }
    }

    fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    async fn cancelled(&self) {
        if self.cancelled.clone().wait_for(|cancelled| *cancelled).await.is_err() {
            // Nobody is left who could cancel it.
            std::future::pending().await
        }
    }
}
