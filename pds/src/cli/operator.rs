//! The server's side of the operator's commands.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{Backend, Error, Reason, Result};
use bytes::Bytes;

use super::message::Message;
use super::work::{self, Follower, Outcome, Progress, Request};
use crate::control::{Caller, Handler, Server};

/// Lets operators' commands reach the open store of this process, through the control socket of its data directory.
///
/// # Errors
/// Those of [`Server::listen`].
pub fn listen(data_directory: &Path, backend: Arc<dyn Backend>) -> Result<Server> {
    Server::listen(data_directory, Arc::new(Operator { backend }))
}

struct Operator {
    backend: Arc<dyn Backend>,
}

#[async_trait]
impl Handler for Operator {
    async fn handle(&self, request: String, file: Option<File>, caller: Caller) {
        let follower: Arc<dyn Follower> = Arc::new(Remote(caller.clone()));
        let result = match serde_json::from_str::<Request>(&request) {
            Ok(request) => work::perform(&*self.backend, request, file, &follower).await,
            Err(e) => Err(Error::new(Reason::BadRequest, format!("the server does not understand the request: {e}"))),
        };
        log(&request, &result);
        caller.line(Message::end(result).to_line()).await;
    }
}

fn log(request: &str, result: &Result<Outcome>) {
    match result {
        Ok(_) => tracing::info!(request, "an operator's request was done"),
        Err(error) => tracing::warn!(request, %error, "an operator's request failed"),
    }
}

struct Remote(Caller);

#[async_trait]
impl Follower for Remote {
    fn progress(&self, progress: Progress) {
        self.0.line_if_idle(Message::Progress(progress).to_line());
    }

    async fn bytes(&self, bytes: Bytes) -> Result<()> {
        // To one who is gone they go nowhere; `cancelled` ends the work.
        self.0.bytes(bytes).await;
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_gone()
    }

    async fn cancelled(&self) {
        self.0.gone().await;
    }
}
