//! The operator's work itself: the same code whether it runs in the server or over a store that the command opened.
//!
//! A [`Request`] says what to do, [`perform`] does it over any backend, an [`Outcome`] is what came of it.

mod car_file;
mod export;
mod file_tree;
mod import;
mod outcome;
mod references;
mod repo_blocks;
mod steps;

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{Backend, Did, Error, Reason, Result, Tid, VerifyLevel};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use export::export;
pub use outcome::{Checkpointed, Exported, Figures, Imported, Outcome, Swept, Verified};
pub use repo_blocks::RepoBlocks;

/// Entries that one call of the sweep may forget: small enough that writers are not held up.
const SWEEP_BUDGET: usize = 10_000;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Take in the repository of a CAR file, which comes with the request.
    Import {
        /// What errors call the file.
        name: String,
    },
    /// Give out a repository as a CAR file.
    Export {
        /// Whose.
        did: Did,
        /// Only what came after this rev.
        since: Option<Tid>,
    },
    /// Check the store against itself.
    Verify {
        /// Every byte.
        deep: bool,
        /// Every byte, and what is damaged is healed first.
        #[serde(default)]
        repair: bool,
    },
    /// Figures.
    Stats,
    /// Bring everything derived up to date.
    Checkpoint,
    /// Forget what is due.
    Sweep,
}

/// How far some work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do, if that is known.
    pub total: Option<u64>,
}

/// A part of some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Bytes of a file are read and hashed.
    Read,
    /// Blocks of a tree are checked.
    Check,
    /// Blocks are written into the store.
    Write,
    /// Bytes are sent.
    Send,
    /// Entries are forgotten.
    Sweep,
}

/// Who follows the work.
#[async_trait]
pub trait Follower: Send + Sync {
    /// Is told how far the work is. Never waits.
    fn progress(&self, progress: Progress);

    /// Takes a piece of what the work gives out.
    ///
    /// # Errors
    /// The work ends with it.
    async fn bytes(&self, bytes: Bytes) -> Result<()>;

    /// True if nobody wants the work any more. It then ends at the next safe moment and leaves no trace.
    fn is_cancelled(&self) -> bool;

    /// Waits until [`Follower::is_cancelled`].
    async fn cancelled(&self);
}

/// Does what was asked. `file` is the open file that came with a [`Request::Import`].
///
/// # Errors
/// The refusal, with what to do about it. Nothing of a refused request stays in the store.
pub async fn perform(
    backend: &dyn Backend,
    request: Request,
    file: Option<File>,
    follower: &Arc<dyn Follower>,
) -> Result<Outcome> {
    // An import cleans up behind itself when it is given up. The others have nothing to clean up, and are just dropped.
    if let Request::Import { name } = request {
        let file = file.ok_or_else(|| Error::new(Reason::BadRequest, "an import without its file"))?;
        return import::import(backend, file, name, follower).await.map(Outcome::Imported);
    }
    tokio::select! {
        outcome = look(backend, request, &**follower) => outcome,
        () = follower.cancelled() => Err(cancelled("the command")),
    }
}

async fn look(backend: &dyn Backend, request: Request, follower: &dyn Follower) -> Result<Outcome> {
    match request {
        Request::Import { .. } => Err(Error::new(Reason::BadRequest, "an import changes the store")),
        Request::Export { did, since } => export(backend, &did, since, follower).await.map(Outcome::Exported),
        Request::Verify { deep, repair } => {
            let level = match (deep, repair) {
                (_, true) => VerifyLevel::Repair,
                (true, false) => VerifyLevel::Deep,
                (false, false) => VerifyLevel::Quick,
            };
            Ok(Outcome::Verified(Verified::new(backend.verify(level).await?, level)))
        }
        Request::Stats => Ok(Outcome::Figures(backend.stats().await?.into())),
        Request::Checkpoint => {
            backend.checkpoint().await?;
            Ok(Outcome::Checkpointed(Checkpointed { position: backend.position().await?.0 }))
        }
        Request::Sweep => sweep(backend, follower).await.map(Outcome::Swept),
    }
}

async fn sweep(backend: &dyn Backend, follower: &dyn Follower) -> Result<Swept> {
    let mut swept = Swept::default();
    while !swept.done {
        swept.add(&backend.sweep(SWEEP_BUDGET).await?);
        let done = swept.blocks + swept.entries + swept.rows + swept.events;
        follower.progress(Progress { phase: Phase::Sweep, done, total: None });
    }
    Ok(swept)
}

/// What work that is no longer wanted ends with.
fn cancelled(what: &str) -> Error {
    Error::new(Reason::Closed, format!("{what}: given up on request; nothing of it stays"))
}
