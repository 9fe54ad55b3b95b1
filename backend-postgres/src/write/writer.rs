//! The one task of a process that writes.

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Checked, Error, Kind, Reason, Receipt, Result};
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;

use super::group::{Broken, Made, Maker, Mode, bytes};
use super::load::Failed;
use super::overlay::Overlay;
use super::position::Position;
use crate::clock::Stopwatch;
use crate::error::{is_queue_full, is_silence, is_transient};
use crate::shared::{Shared, upload_time};

const DELAY_MIN: Duration = Duration::from_millis(2);
const DELAY_MAX: Duration = Duration::from_millis(500);
/// What has waited long because there is much to write is not given up for one failure.
const TRIED_MIN: Duration = Duration::from_secs(1);
/// So many groups are written before the queue of notifications, which was full, is tried again.
const QUIET_GROUPS: u32 = 1_000;
/// Mutations of a group that take too long one by one before the others are given up with them, and attempts in a row that do
/// before what waits behind them is.
const TOO_LONG_MAX: u32 = 2;
/// An attempt has several statements, and the server gives each up after its own time: after so many of these it is not there.
const STATEMENTS_MAX: u32 = 3;

/// Takes groups from the queue until it is closed.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    overlay: Overlay,
    known: Option<Position>,
    /// Its own: readers that hold all others keep nobody from writing.
    connection: Option<PgConnection>,
    /// Set by a lost commit, until a later group holds the lock of the store's row: nothing of before can come after it.
    must_turn: bool,
    /// Groups that wake nobody: the queue of notifications was full.
    quiet_groups: u32,
    /// When the oldest mutation of the group was queued.
    since: Stopwatch,
    /// Attempts in a row that took too long.
    too_long: u32,
}

/// Why a group is not made.
struct GivenUp {
    error: Error,
    /// True if it may be one of the mutations that fails, whenever it is made.
    is_of_one: bool,
}

impl Writer {
    /// With the connection that the store was opened on.
    pub fn new(shared: Arc<Shared>, connection: PgConnection) -> Self {
        Self {
            shared,
            overlay: Overlay::default(),
            known: None,
            connection: Some(connection),
            must_turn: false,
            quiet_groups: 0,
            since: Stopwatch::start(),
            too_long: 0,
        }
    }

    /// Writes until the queue is closed and empty.
    pub async fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        while let Some(jobs) = self.shared.queue.take().await {
            // The oldest has waited for so long already.
            let since = jobs.iter().map(|job| job.queued).max_by_key(Stopwatch::elapsed);
            self.since = since.unwrap_or_else(Stopwatch::start);
            let (group, waiting): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.checked, job.answer)).unzip();
            self.group(group, waiting).await;
        }
    }

    /// Answers all of a group, part by part where it is too much at once.
    async fn group(&mut self, group: Vec<Checked>, waiting: Vec<oneshot::Sender<Result<Receipt>>>) {
        let (mut rest, mut waiting) = (&group[..], waiting.into_iter());
        // Of what is left, too: an attempt that was lost may have got further than the one that was answered.
        let mut may_be_committed = false;
        while !rest.is_empty() {
            let watch = Stopwatch::start();
            let answers = match self.made(rest, &mut may_be_committed).await {
                Ok(answers) => answers,
                // What one of them brings up must not fail the others.
                Err(given_up) if rest.len() > 1 && given_up.is_of_one => self.one_by_one(rest, &given_up.error).await,
                Err(given_up) => rest.iter().map(|_| Err(given_up.error.clone())).collect(),
            };
            // Bodies and blocks are of no use to the next group.
            self.overlay.clear(true);
            self.shared.counters.group(answers.len() as u64, watch.elapsed_us());
            rest = rest.get(answers.len()..).filter(|_| !answers.is_empty()).unwrap_or_default();
            for (answer, waiting) in answers.into_iter().zip(&mut waiting) {
                // Who dropped the call does not want to know.
                let _ = waiting.send(answer);
            }
        }
    }

    /// Where the server does not keep up with several of them it is not their fault: what is left of them fails for the
    /// group's reason.
    async fn one_by_one(&mut self, group: &[Checked], why: &Error) -> Vec<Result<Receipt>> {
        let watch = Stopwatch::start();
        let mut answers = Vec::with_capacity(group.len());
        let (mut too_long, mut failed) = (0, false);
        for one in group {
            if too_long >= TOO_LONG_MAX || failed && watch.elapsed() >= self.shared.options.retry_for {
                answers.push(Err(why.clone()));
                continue;
            }
            answers.push(match self.made(std::slice::from_ref(one), &mut false).await {
                Ok(mut answers) => answers
                    .pop()
                    .unwrap_or_else(|| Err(Error::new(Reason::ReadFailed, "a group of one mutation has no answer"))),
                Err(given_up) => {
                    failed = true;
                    too_long += u32::from(given_up.error.reason() == Reason::Overloaded);
                    Err(given_up.error)
                }
            });
        }
        answers
    }

    /// Makes a group, again and again while what keeps it from being made may pass. Once it may have been committed no other
    /// failure says that it was not.
    async fn made(&mut self, group: &[Checked], may_be_committed: &mut bool) -> Result<Vec<Result<Receipt>>, GivenUp> {
        let tried = self.tried(group, may_be_committed).await;
        let Err(mut given_up) = tried else {
            self.too_long = 0;
            return tried;
        };
        if given_up.error.kind() == Kind::Stopped {
            self.shared.stop(&given_up.error);
        }
        self.too_long = if given_up.error.reason() == Reason::Overloaded { self.too_long + 1 } else { 0 };
        if self.too_long > TOO_LONG_MAX {
            // Who has waited as long would be told the same, group after group.
            self.shared.queue.refuse_older(self.shared.options.retry_for, &given_up.error);
        }
        given_up.is_of_one &= !*may_be_committed && given_up.error.kind() != Kind::Stopped;
        if *may_be_committed {
            given_up.error = unknown(&given_up.error);
        }
        Err(given_up)
    }

    async fn tried(&mut self, group: &[Checked], may_be_committed: &mut bool) -> Result<Vec<Result<Receipt>>, GivenUp> {
        let (watch, retry_for) = (Stopwatch::start(), self.shared.options.retry_for);
        let (mut delay, mut wakes) = (DELAY_MIN, self.quiet_groups == 0);
        self.quiet_groups = self.quiet_groups.saturating_sub(1);
        let mut was_silent = false;
        loop {
            let mode = if self.known.is_some() && !self.must_turn { Mode::Alone } else { Mode::Locked };
            let failed = match self.attempt(mode, group, wakes).await {
                Ok(Made::Done(answers, position)) => {
                    self.known = Some(position);
                    self.must_turn = false;
                    self.shared.head.reached(position.seq);
                    return Ok(answers);
                }
                Ok(Made::Raced) => {
                    // Once: with nothing known the next attempt takes the lock, under which nobody is faster.
                    self.known = None;
                    self.shared.counters.race();
                    continue;
                }
                Err(broken) => {
                    self.known = None;
                    // Whatever state it is in, it is not used again.
                    self.connection = None;
                    *may_be_committed |= broken.may_be_committed;
                    self.must_turn |= broken.may_be_committed;
                    broken.failed
                }
            };
            if wakes && matches!(&failed, Failed::Database(e) if is_queue_full(e)) {
                // Nobody needs to be woken: every process asks now and then.
                wakes = false;
                self.quiet_groups = QUIET_GROUPS;
                continue;
            }
            let passes = matches!(&failed, Failed::Database(e) if is_transient(e));
            // Nor for the silence of a connection that took longer to be given up than that: another may lead somewhere.
            let is_silent = matches!(&failed, Failed::Database(e) if is_silence(e)) && !was_silent;
            was_silent |= is_silent;
            let is_late =
                self.since.elapsed() >= retry_for && watch.elapsed() >= retry_for.min(TRIED_MIN) && !is_silent;
            if !(passes || *may_be_committed) || is_late {
                let error = failed.into_error("write a group of mutations");
                if passes {
                    // Who has waited as long as these would be told the same, group after group.
                    self.shared.queue.refuse_older(retry_for, &error);
                }
                return Err(GivenUp { error, is_of_one: !passes });
            }
            self.shared.counters.retry();
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(DELAY_MAX);
        }
    }

    async fn attempt(&mut self, mode: Mode, group: &[Checked], wakes: bool) -> Result<Made, Broken> {
        let shared = Arc::clone(&self.shared);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(shared.connect_to_lock().await?),
        };
        let mut maker = Maker {
            overlay: &mut self.overlay,
            known: self.known,
            opened: shared.opened,
            clock: &*shared.options.clock,
            wakes: wakes.then_some(&shared.channel),
            must_turn: self.must_turn,
        };
        let making = maker.make(connection, mode, group);
        let made = shared.in_time_with(upload_time(bytes(group)), STATEMENTS_MAX, making).await;
        // Of a server that says nothing nobody knows what it has done.
        made.unwrap_or_else(|silent| Err(Broken { failed: Failed::Database(silent), may_be_committed: true }))
    }
}

/// However the writer ends, also by a panic, nobody waits for it afterwards.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let why = Error::new(Reason::Closed, "the writer has ended; nothing was written: open the store again");
        self.0.queue.abandon(&why);
    }
}

fn unknown(e: &Error) -> Error {
    let detail =
        format!("the connection was lost while the database committed, and it cannot be asked: {}", e.detail());
    Error::new(Reason::SyncFailed, detail)
}
