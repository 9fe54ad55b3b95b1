//! One group of mutations, from the queue to the commit.
//!
//! Most groups are planned without a lock, on what this process knows since it planned the last, and take effect only if nobody
//! else wrote since ([`Maker::plan_on`]; the [`Script`] is carried out by a task of its own). If somebody did, the group is made
//! again under the lock of the store's row ([`Maker::locked`]), as every first group is, and every one after a failure. A group
//! that may have been committed before its connection was lost is made again in the same way: the receipts tell.

use backend_api::{Checked, Error, Op, Plan, Reason, Receipt, Result, plan};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::fold::Fold;
use super::load::{Failed, load};
use super::overlay::Overlay;
use super::position::{Opened, Position};
use super::save::save;
use super::script::{Script, Way};
use super::wanted::{Wanted, looks};
use crate::clock::Clock;
use crate::shared::allow_upload;

/// Rounds of loading and planning one mutation. Each loads what the one before missed; a mutation names no more keys.
const ROUNDS_MAX: usize = 100_000;

/// Bytes of bodies that are loaded for all of a group before it is planned.
const BODIES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// When plans have loaded as many bytes of rows besides, the group ends: what a mutation takes is not counted where it waits.
const LOADED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All rows of an account that is deleted are looked at under the lock: that may take half a minute, as so many bytes do.
const DELETION_BYTES: usize = 512 * 1024;

/// A group that is planned.
pub(super) struct Planned {
    /// Its answers, of all of it or of the first of it; they hold once it is written.
    pub answers: Vec<Result<Receipt>>,
    /// Where the store stands then.
    pub after: Position,
    /// What is to be written, if anything is.
    pub script: Option<Script>,
    /// For how many bytes that may take its time.
    pub bytes: usize,
}

/// A failure of the database, and whether the group may have been committed.
pub(super) struct Broken {
    pub failed: Failed,
    pub may_be_committed: bool,
}

impl<E: Into<Failed>> From<E> for Broken {
    fn from(e: E) -> Self {
        Self { failed: e.into(), may_be_committed: false }
    }
}

/// For how many bytes a group may take its time.
pub(super) fn bytes(group: &[Checked]) -> usize {
    let deletes = |checked: &Checked| checked.mutation().ops.iter().any(|op| matches!(op, Op::DeleteAccount));
    let deletion = if group.iter().any(deletes) { DELETION_BYTES } else { 0 };
    group.iter().map(Checked::bytes).sum::<usize>() + deletion
}

pub(super) fn maybe(e: sqlx::Error) -> Broken {
    let may_be_committed = !crate::error::is_answer(&e);
    Broken { failed: e.into(), may_be_committed }
}

/// What stays from group to group.
pub(super) struct Maker<'a> {
    pub overlay: &'a mut Overlay,
    pub opened: Opened,
    pub clock: &'a dyn Clock,
    /// The channel on which the other processes are woken, if they are.
    pub wakes: Option<&'a str>,
    /// True if what a group asks may be assumed, where its tables refuse it if that is wrong. It is made again then.
    pub assumes: bool,
    /// True if an earlier attempt may still be under way: its turn must be over before anything is answered.
    pub must_turn: bool,
}

impl Maker<'_> {
    /// Plans a group on a known state. Nothing is written, and nothing locked.
    pub async fn plan_on(
        &mut self,
        connection: &mut PgConnection,
        known: Position,
        group: &[Checked],
        way: Way,
    ) -> Result<Planned, Broken> {
        self.overlay.clear(true);
        let (answers, fold, after) = self.plan(connection, known, group).await?;
        Ok(self.planned(group, answers, &fold, (known, after), way))
    }

    fn planned(
        &self,
        group: &[Checked],
        answers: Vec<Result<Receipt>>,
        fold: &Fold,
        (known, after): (Position, Position),
        way: Way,
    ) -> Planned {
        let bytes = bytes(group) + self.overlay.loaded_bytes;
        if fold.taken.is_empty() && !self.must_turn {
            return Planned { answers, after: known, script: None, bytes };
        }
        let script = Some(save(self.overlay, fold, (known, after), self.wakes, way));
        Planned { answers, after: Position { turn: known.turn + 1, ..after }, script, bytes }
    }

    /// Makes a group under the lock of the store's row.
    pub async fn locked(
        &mut self,
        connection: &mut PgConnection,
        group: &[Checked],
    ) -> Result<(Vec<Result<Receipt>>, Position), Broken> {
        self.overlay.clear(false);
        self.assumes = false;
        let mut transaction = connection.begin().await?;
        allow_upload(&mut transaction, bytes(group)).await?;
        let known = Position::lock(&mut transaction).await?;
        known.open_to(self.opened)?;
        let (answers, fold, after) = self.plan(&mut transaction, known, group).await?;
        let planned = self.planned(group, answers, &fold, (known, after), Way::Alone);
        let Some(script) = planned.script else {
            transaction.rollback().await?;
            return Ok((planned.answers, planned.after));
        };
        if self.overlay.loaded_bytes > 0 {
            allow_upload(&mut transaction, planned.bytes).await?;
        }
        if !script.within(&mut transaction).await? {
            transaction.rollback().await?;
            let detail = "the row of the store changed under its lock; nothing was written: see who else writes it";
            return Err(Error::new(Reason::DataCorrupt, detail).into());
        }
        transaction.commit().await.map_err(maybe)?;
        Ok((planned.answers, planned.after))
    }

    /// Plans mutation after mutation, each on what those before it did. A refusal leaves nothing behind. Ends before the last
    /// where too much would be in memory.
    async fn plan(
        &mut self,
        connection: &mut PgConnection,
        known: Position,
        group: &[Checked],
    ) -> Result<(Vec<Result<Receipt>>, Fold, Position), Broken> {
        self.overlay.stored_pos = known.pos;
        self.prefetch(connection, group).await?;
        let mut answers = Vec::with_capacity(group.len());
        let mut fold = Fold::default();
        let mut after = known;
        let now = self.clock.now();
        let prefetched = self.overlay.loaded_bytes;
        for checked in group {
            if self.overlay.loaded_bytes - prefetched >= LOADED_BYTES_MAX {
                break;
            }
            let stamp = match after.stamp(now) {
                Ok(stamp) => stamp,
                Err(e) => {
                    answers.push(Err(e));
                    continue;
                }
            };
            let mut planned = self.plan_one(connection, checked, stamp).await?;
            if planned.is_err() && self.overlay.is_assumed && self.assumes {
                self.ask(connection, &group[answers.len()..]).await?;
                planned = self.plan_one(connection, checked, stamp).await?;
            }
            answers.push(match planned {
                Err(refusal) => Err(refusal),
                Ok(Plan::Again(receipt)) => Ok(receipt),
                Ok(Plan::Take(effects)) => match after.after(stamp, effects.receipt.events) {
                    Err(e) => Err(e),
                    Ok(next) => {
                        after = next;
                        let is_recorded = known.changes_after.is_some();
                        Ok(fold.take(self.overlay, checked, stamp, effects, is_recorded)?)
                    }
                },
            });
        }
        Ok((answers, fold, after))
    }

    /// Asks what was assumed. What is refused is not written: nothing else tells that it was made before. It is seldom the only
    /// one, and asked for one by one many would keep all others waiting: those that follow it are asked for with it.
    async fn ask(&mut self, connection: &mut PgConnection, group: &[Checked]) -> Result<(), Broken> {
        self.assumes = false;
        for checked in group {
            self.overlay.doubt(checked.mutation());
        }
        self.prefetch(connection, group).await
    }

    /// Plans one mutation; what the plan misses is loaded, and it is made again.
    async fn plan_one(
        &mut self,
        connection: &mut PgConnection,
        checked: &Checked,
        stamp: backend_api::Stamp,
    ) -> Result<Result<Plan>, Broken> {
        self.overlay.looks = looks(checked.mutation());
        for _ in 0..ROUNDS_MAX {
            let planned = plan(&*self.overlay, checked, stamp);
            let mut wanted = self.overlay.take_missed();
            if wanted.is_empty() {
                return Ok(planned);
            }
            wanted.mutation(self.overlay, checked);
            load(connection, self.overlay, wanted).await?;
        }
        let detail = format!("a plan was not done after {ROUNDS_MAX} rounds of loading");
        Err(Error::new(backend_api::Reason::ReadFailed, detail).into())
    }

    /// Loads for the whole group at once: first what leads to the repos, then what lies in them.
    async fn prefetch(&mut self, connection: &mut PgConnection, group: &[Checked]) -> Result<(), Broken> {
        const STAGES: usize = 3;
        for _ in 0..STAGES {
            let mut wanted = Wanted::default();
            for checked in group {
                wanted.mutation(self.overlay, checked);
            }
            if wanted.is_empty() {
                return Ok(());
            }
            if self.assumes && wanted.is_assumable(group) {
                self.overlay.assume(wanted);
                return Ok(());
            }
            wanted.bound_bodies(BODIES_BYTES_MAX);
            load(connection, self.overlay, wanted).await?;
        }
        Ok(())
    }
}
