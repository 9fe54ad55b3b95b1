//! A group that is being written, by a task of its own, while the next one is planned.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use backend_api::{Checked, Did, Receipt, Result};
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::group::{Broken, Planned};
use super::load::Failed;
use super::queue::Job;
use super::script::Script;
use crate::clock::Stopwatch;
use crate::shared::{Shared, upload_time};

/// An attempt has several statements, and the server gives each up after its own time: after so many of these it is not there.
pub(super) const STATEMENTS_MAX: u32 = 3;

/// Mutations that are made together, and who waits for each.
pub(super) struct Group {
    pub mutations: Vec<Checked>,
    pub waiting: VecDeque<oneshot::Sender<Result<Receipt>>>,
    /// When the oldest of them was queued.
    pub since: Stopwatch,
}

impl From<Vec<Job>> for Group {
    fn from(jobs: Vec<Job>) -> Self {
        let since = jobs.iter().map(|job| job.queued).max_by_key(Stopwatch::elapsed);
        let (mutations, waiting) = jobs.into_iter().map(|job| (job.checked, job.answer)).unzip();
        Self { mutations, waiting, since: since.unwrap_or_else(Stopwatch::start) }
    }
}

impl Group {
    /// Answers the first of it.
    pub fn answer(&mut self, answers: Vec<Result<Receipt>>) {
        self.mutations.drain(..answers.len().min(self.mutations.len()));
        for answer in answers {
            if let Some(waiting) = self.waiting.pop_front() {
                // Who dropped the call does not want to know.
                let _ = waiting.send(answer);
            }
        }
    }
}

/// A group that is under way.
pub(super) struct Flight {
    /// Its accounts.
    pub dids: HashSet<Did>,
    /// How many mutations it has.
    pub mutations: usize,
    /// False if some of it is left for later.
    pub is_whole: bool,
    /// Says when it is committed, to one group that follows.
    pub committed: Option<oneshot::Receiver<()>>,
    pub landing: JoinHandle<Landed>,
}

/// What became of it.
pub(super) struct Landed {
    /// `None` if it is not to be used again.
    pub connection: Option<PgConnection>,
    /// What has no answer yet.
    pub rest: Group,
    pub end: End,
}

pub(super) enum End {
    /// It was written, and has its answers.
    Saved,
    /// It was not its turn; nothing of it was written.
    Raced,
    /// It failed.
    Broken { may_be_committed: bool },
}

impl Flight {
    /// Sends a group that was planned, to be written after the end of one that is under way, if one is.
    pub fn start(
        shared: &Arc<Shared>,
        connection: PgConnection,
        (planned, script): (Planned, Script),
        group: Group,
        before: Option<oneshot::Receiver<()>>,
    ) -> Self {
        let (committed, follower) = oneshot::channel();
        Self {
            dids: group.mutations.iter().map(|checked| checked.mutation().did.clone()).collect(),
            mutations: group.mutations.len(),
            is_whole: planned.answers.len() == group.mutations.len(),
            committed: Some(follower),
            landing: tokio::spawn(fly(Arc::clone(shared), connection, (planned, script), group, before, committed)),
        }
    }
}

async fn fly(
    shared: Arc<Shared>,
    mut connection: PgConnection,
    (planned, script): (Planned, Script),
    mut group: Group,
    before: Option<oneshot::Receiver<()>>,
    committed: oneshot::Sender<()>,
) -> Landed {
    let (watch, bytes, follows) = (Stopwatch::start(), planned.bytes, before.is_some());
    let writing = async {
        match before {
            None => script.alone(&mut connection, bytes).await,
            Some(before) => script.beside(&mut connection, bytes, before).await,
        }
    };
    let saved = shared.in_time_with(upload_time(bytes), STATEMENTS_MAX, writing).await;
    // Of a server that says nothing nobody knows what it has done.
    let saved = saved.unwrap_or_else(|silent| Err(Broken { failed: Failed::Database(silent), may_be_committed: true }));
    match saved {
        Ok(true) => {
            // If nobody follows, nobody needs to know.
            let _ = committed.send(());
            shared.head.reached(planned.after.seq);
            if follows {
                shared.counters.pipelined();
            }
            shared.counters.group(planned.answers.len() as u64, watch.elapsed_us());
            group.answer(planned.answers);
            Landed { connection: Some(connection), rest: group, end: End::Saved }
        }
        Ok(false) => Landed { connection: Some(connection), rest: group, end: End::Raced },
        // Whatever state the connection is in, it is not used again.
        Err(Broken { may_be_committed, .. }) => {
            Landed { connection: None, rest: group, end: End::Broken { may_be_committed } }
        }
    }
}
