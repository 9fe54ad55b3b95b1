//! The one task of a process that writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backend_api::{Checked, Error, Kind, Reason, Receipt, Result};
use sqlx::postgres::PgConnection;
use tokio::task::JoinError;

use super::flight::{End, Flight, Group, Landed, STATEMENTS_MAX};
use super::group::{Broken, Maker, Planned, bytes};
use super::load::Failed;
use super::overlay::Overlay;
use super::position::Position;
use super::queue::Job;
use super::script::Way;
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
/// Where others write too, or retry, what is written beside a group that is not committed, or on what was not asked, is often
/// thrown away: after that so many groups are written one by one, and ask.
const QUIET_GROUPS_MIN: u32 = 64;

/// Takes groups from the queue until it is closed.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    overlay: Overlay,
    /// Where the store stands when all that is under way is committed; `None` after a failure.
    known: Option<Position>,
    /// Groups that are under way, in their order.
    flights: VecDeque<Flight>,
    /// Groups since somebody else wrote.
    undisturbed: u32,
    /// Its own: readers that hold all others keep nobody from writing. When one of them is lost those that are idle go too:
    /// of a server that is gone each would be waited for as long.
    connections: Vec<PgConnection>,
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
            flights: VecDeque::new(),
            undisturbed: QUIET_GROUPS_MIN,
            connections: vec![connection],
            must_turn: false,
            quiet_groups: 0,
            since: Stopwatch::start(),
            too_long: 0,
        }
    }

    /// Writes until the queue is closed and empty.
    pub async fn run(mut self) {
        let _end = Abandon(Arc::clone(&self.shared));
        let shared = Arc::clone(&self.shared);
        loop {
            // While one is committed the next one is written.
            let is_room = self.flights.len() < shared.options.writing() as usize;
            let may_follow = is_room && self.undisturbed >= QUIET_GROUPS_MIN;
            let jobs = match self.flights.front_mut() {
                None => match shared.queue.take().await {
                    Some(jobs) => jobs,
                    None => return,
                },
                Some(first) => tokio::select! {
                    biased;
                    landed = &mut first.landing => {
                        self.flights.pop_front();
                        self.landed(landed).await;
                        continue;
                    }
                    // Fewer would cost as much as many.
                    jobs = shared.queue.take_beside(&first.dids, first.mutations.div_ceil(2)),
                        if may_follow && first.is_whole => jobs,
                },
            };
            self.send(jobs).await;
        }
    }

    /// Plans a group, and sends it. What cannot be sent, or has nothing to be written, is made when all is landed.
    async fn send(&mut self, jobs: Vec<Job>) {
        let group = Group::from(jobs);
        let Some(known) = self.known else {
            return self.group(group, false).await;
        };
        let (connection, mut planned) = match self.plan(known, &group.mutations).await {
            Ok(planned) => planned,
            Err(_) => {
                self.connections.clear();
                self.land().await;
                self.shared.counters.retry();
                self.undisturbed = 0;
                return self.group(group, false).await;
            }
        };
        self.quiet_groups = self.quiet_groups.saturating_sub(1);
        // Bodies and blocks are of no use to the next group.
        self.overlay.clear(true);
        let Some(script) = planned.script.take() else {
            self.land().await;
            return self.refused(connection, planned, group).await;
        };
        self.known = Some(planned.after);
        let before = self.flights.back_mut().and_then(|flight| flight.committed.take());
        self.flights.push_back(Flight::start(&self.shared, connection, (planned, script), group, before));
    }

    async fn plan(&mut self, known: Position, group: &[Checked]) -> Result<(PgConnection, Planned), Broken> {
        let way = if self.flights.is_empty() { Way::Alone } else { Way::Beside };
        let shared = Arc::clone(&self.shared);
        let mut connection = self.connection().await?;
        let mut maker = self.maker(&shared);
        let planning = maker.plan_on(&mut connection, known, group, way);
        let planned = shared.in_time_with(upload_time(bytes(group)), STATEMENTS_MAX, planning).await;
        Ok((connection, planned??))
    }

    /// Refusals are as good as what they were made on.
    async fn refused(&mut self, mut connection: PgConnection, planned: Planned, mut group: Group) {
        let now = self.shared.in_time(1, Position::read(&mut connection)).await;
        let is_good = matches!(now, Ok(Ok(now)) if now.is_at(&planned.after) && now.opened == self.shared.opened);
        if !is_good {
            self.shared.counters.race();
            return self.group(group, false).await;
        }
        self.connections.push(connection);
        self.shared.counters.group(planned.answers.len() as u64, 0);
        group.answer(planned.answers);
        if !group.mutations.is_empty() {
            self.group(group, false).await;
        }
    }

    /// Waits until nothing is under way.
    async fn land(&mut self) {
        while let Some(first) = self.flights.pop_front() {
            let landed = first.landing.await;
            self.landed(landed).await;
        }
    }

    /// Takes back what was under way. If it was not written, what followed it was not, either: all is made again, in its order.
    async fn landed(&mut self, landed: Result<Landed, JoinError>) {
        let mut landed = vec![whole(landed)];
        if !matches!(landed[0].end, End::Saved) {
            while let Some(next) = self.flights.pop_front() {
                landed.push(whole(next.landing.await));
            }
            self.known = None;
            self.undisturbed = 0;
        }
        self.undisturbed = self.undisturbed.saturating_add(1);
        for Landed { connection, rest, end } in landed {
            self.connections.extend(connection);
            let may_be_committed = match end {
                End::Saved => false,
                End::Raced => {
                    self.shared.counters.race();
                    false
                }
                End::Broken { may_be_committed } => {
                    if may_be_committed {
                        self.connections.clear();
                    }
                    self.shared.counters.retry();
                    may_be_committed
                }
            };
            self.must_turn |= may_be_committed;
            if !rest.mutations.is_empty() {
                self.group(rest, may_be_committed).await;
            }
        }
    }

    /// Answers all of a group, part by part where it is too much at once. Nothing else is under way. Of what is left, too, an
    /// attempt that was lost may have got further than the one that was answered.
    async fn group(&mut self, mut group: Group, mut may_be_committed: bool) {
        // The oldest has waited for so long already.
        self.since = group.since;
        while !group.mutations.is_empty() {
            let watch = Stopwatch::start();
            let rest = &group.mutations[..];
            let answers = match self.made(rest, &mut may_be_committed).await {
                Ok(answers) => answers,
                // What one of them brings up must not fail the others.
                Err(given_up) if rest.len() > 1 && given_up.is_of_one => self.one_by_one(rest, &given_up.error).await,
                Err(given_up) => rest.iter().map(|_| Err(given_up.error.clone())).collect(),
            };
            // Bodies and blocks are of no use to the next group.
            self.overlay.clear(true);
            self.shared.counters.group(answers.len() as u64, watch.elapsed_us());
            if answers.is_empty() {
                return;
            }
            group.answer(answers);
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
            let failed = match self.attempt(group, wakes).await {
                Ok((answers, position)) => {
                    self.known = Some(position);
                    self.must_turn = false;
                    self.shared.head.reached(position.seq);
                    return Ok(answers);
                }
                Err(broken) => {
                    self.known = None;
                    if broken.may_be_committed {
                        self.connections.clear();
                    }
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

    async fn attempt(&mut self, group: &[Checked], wakes: bool) -> Result<(Vec<Result<Receipt>>, Position), Broken> {
        let shared = Arc::clone(&self.shared);
        // If it fails, it is not used again, whatever state it is in.
        let mut connection = self.connection().await?;
        let mut maker = Maker { wakes: wakes.then_some(&*shared.channel), ..self.maker(&shared) };
        let making = maker.locked(&mut connection, group);
        let made = shared.in_time_with(upload_time(bytes(group)), STATEMENTS_MAX, making).await;
        // Of a server that says nothing nobody knows what it has done.
        let silence = |silent| Err(Broken { failed: Failed::Database(silent), may_be_committed: true });
        let made = made.unwrap_or_else(silence)?;
        self.connections.push(connection);
        Ok(made)
    }

    async fn connection(&mut self) -> sqlx::Result<PgConnection> {
        match self.connections.pop() {
            Some(connection) => Ok(connection),
            None => self.shared.connect_to_lock().await,
        }
    }

    fn maker<'a>(&'a mut self, shared: &'a Shared) -> Maker<'a> {
        Maker {
            overlay: &mut self.overlay,
            opened: shared.opened,
            clock: &*shared.options.clock,
            wakes: Some(&*shared.channel).filter(|_| self.quiet_groups == 0),
            assumes: self.undisturbed >= QUIET_GROUPS_MIN,
            must_turn: self.must_turn,
        }
    }
}

/// What a task ended with.
fn whole(landed: Result<Landed, JoinError>) -> Landed {
    landed.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

/// However the writer ends, also by a panic, nobody waits for it afterwards.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
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
