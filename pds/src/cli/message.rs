//! What server and command say to each other over the control socket.

use backend_api::{Error, Reason, Result};
use serde::{Deserialize, Serialize};

use super::work::{Outcome, Progress};

/// One answer of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// How far the work is. Some may be left out.
    Progress(Progress),
    /// The end: what came of it.
    Done(Outcome),
    /// The end: why not.
    Failed {
        /// The reason's name.
        reason: String,
        /// The sentence for people.
        detail: String,
    },
}

impl Message {
    /// The end, as a message.
    #[must_use]
    pub fn end(result: Result<Outcome>) -> Self {
        match result {
            Ok(outcome) => Self::Done(outcome),
            Err(e) => Self::Failed { reason: format!("{:?}", e.reason()), detail: e.detail().to_owned() },
        }
    }

    /// The message as a line.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The error that a server named. One that this command does not know is taken for a refusal.
    #[must_use]
    pub fn error(reason: &str, detail: String) -> Error {
        let known = Reason::ALL.iter().find(|known| format!("{known:?}") == reason);
        match known {
            Some(reason) => Error::new(*reason, detail),
            None => Error::new(Reason::BadRequest, format!("{reason}: {detail}")),
        }
    }
}
