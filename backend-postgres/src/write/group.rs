//! One group of mutations, from the queue to the commit.
//!
//! Most groups are planned without a lock, on what this process knows since it wrote last, and written by one statement that
//! takes effect only if nobody else wrote since ([`Mode::Alone`]). If somebody did, the group is made again under the lock of
//! the store's row ([`Mode::Locked`]), as every first group is, and every one after a failure. A group that may have been
//! committed before its connection was lost is made again in the same way: the receipts tell.

use backend_api::{Checked, Error, Op, Plan, Reason, Receipt, Result, plan};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::fold::Fold;
use super::load::{Failed, load};
use super::overlay::Overlay;
use super::position::{Opened, Position};
use super::save::{has_others, save_group, save_others};
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

/// How a group is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// On what is known, without a lock.
    Alone,
    /// Under the lock of the store's row.
    Locked,
}

/// What became of a group.
pub(super) enum Made {
    /// Its answers hold, of all of it or of the first of it. What the store stands at now.
    Done(Vec<Result<Receipt>>, Position),
    /// Somebody else wrote: nothing was changed, and nothing of it counts.
    Raced,
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

fn maybe(e: sqlx::Error) -> Broken {
    let may_be_committed = !crate::error::is_answer(&e);
    Broken { failed: e.into(), may_be_committed }
}

/// What stays from group to group.
pub(super) struct Maker<'a> {
    pub overlay: &'a mut Overlay,
    /// Where the store stood after this process' last write; `None` after a failure.
    pub known: Option<Position>,
    pub opened: Opened,
    pub clock: &'a dyn Clock,
    /// The channel on which the other processes are woken, if they are.
    pub wakes: Option<&'a str>,
    /// True if an earlier attempt may still be under way: its turn must be over before anything is answered.
    pub must_turn: bool,
}

impl Maker<'_> {
    /// Makes a group.
    pub async fn make(&mut self, connection: &mut PgConnection, mode: Mode, group: &[Checked]) -> Result<Made, Broken> {
        match (mode, self.known) {
            (Mode::Alone, Some(known)) => self.alone(connection, known, group).await,
            _ => self.locked(connection, group).await,
        }
    }

    async fn alone(
        &mut self,
        connection: &mut PgConnection,
        known: Position,
        group: &[Checked],
    ) -> Result<Made, Broken> {
        self.overlay.clear(true);
        let (answers, fold, after) = self.plan(connection, known, group).await?;
        if fold.taken.is_empty() {
            // Refusals are as good as what they were made on.
            let now = Position::read(connection).await?;
            let is_good = now.is_at(&known) && now.opened == self.opened;
            return Ok(if is_good { Made::Done(answers, known) } else { Made::Raced });
        }
        let is_saved = if has_others(self.overlay, &fold) {
            let mut transaction = connection.begin().await?;
            allow_upload(&mut transaction, bytes(group) + self.overlay.loaded_bytes).await?;
            let is_saved = save_group(&mut transaction, self.overlay, &fold, known, after, self.wakes).await?;
            if is_saved {
                save_others(&mut transaction, self.overlay, &fold).await?;
                transaction.commit().await.map_err(maybe)?;
            } else {
                transaction.rollback().await?;
            }
            is_saved
        } else {
            // A statement by itself is its own transaction.
            save_group(connection, self.overlay, &fold, known, after, self.wakes).await.map_err(maybe)?
        };
        Ok(if is_saved { Made::Done(answers, Position { turn: known.turn + 1, ..after }) } else { Made::Raced })
    }

    async fn locked(&mut self, connection: &mut PgConnection, group: &[Checked]) -> Result<Made, Broken> {
        self.overlay.clear(false);
        let mut transaction = connection.begin().await?;
        allow_upload(&mut transaction, bytes(group)).await?;
        let known = Position::lock(&mut transaction).await?;
        known.open_to(self.opened)?;
        let (answers, fold, after) = self.plan(&mut transaction, known, group).await?;
        if fold.taken.is_empty() && !self.must_turn {
            transaction.rollback().await?;
            return Ok(Made::Done(answers, known));
        }
        if self.overlay.loaded_bytes > 0 {
            allow_upload(&mut transaction, bytes(group) + self.overlay.loaded_bytes).await?;
        }
        if !save_group(&mut transaction, self.overlay, &fold, known, after, self.wakes).await? {
            transaction.rollback().await?;
            let detail = "the row of the store changed under its lock; nothing was written: see who else writes it";
            return Err(Error::new(Reason::DataCorrupt, detail).into());
        }
        if has_others(self.overlay, &fold) {
            save_others(&mut transaction, self.overlay, &fold).await?;
        }
        transaction.commit().await.map_err(maybe)?;
        Ok(Made::Done(answers, Position { turn: known.turn + 1, ..after }))
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
            let planned = self.plan_one(connection, checked, stamp).await?;
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
            wanted.bound_bodies(BODIES_BYTES_MAX);
            load(connection, self.overlay, wanted).await?;
        }
        Ok(())
    }
}
