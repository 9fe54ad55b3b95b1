//! Keeping the store in order, and looking at it.

use async_trait::async_trait;

use crate::error::Result;
use crate::number::{Pos, Seq};

/// How much [`Maintenance::verify`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyLevel {
    /// Every repo's head, root, counters and indexes, without reading all blocks.
    Quick,
    /// Every byte: all blocks against their CIDs, all trees, all counts, all events.
    Deep,
    /// As [`VerifyLevel::Deep`], after what is damaged was healed, as far as there is a second witness of it.
    Repair,
}

/// What was verified, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Repos looked at.
    pub repos: u64,
    /// Records looked at.
    pub records: u64,
    /// Blocks looked at.
    pub blocks: u64,
    /// Bytes of blocks hashed.
    pub bytes: u64,
    /// Events looked at.
    pub events: u64,
    /// What is wrong, one sentence each, with the place. At most 1,000 are kept.
    pub problems: Vec<String>,
    /// What was damaged and is whole again, one sentence each. Of [`VerifyLevel::Repair`] only.
    pub healed: Vec<String>,
}

/// What a step of the sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// True if nothing that is due is left, but for what `held` names.
    pub done: bool,
    /// Blocks forgotten.
    pub blocks: u64,
    /// Records, commits, receipts and indexes forgotten.
    pub entries: u64,
    /// Rows that expired.
    pub rows: u64,
    /// Events dropped.
    pub events: u64,
    /// What stands still and why, one sentence each: a damaged file keeps back what must be read from it, a full disk what
    /// needs space. Everything else goes on.
    pub held: Vec<String>,
}

/// Bytes on disk, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpaceUse {
    /// What, and how many bytes.
    pub parts: Vec<(String, u64)>,
}

/// Figures of a running store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The backend's name.
    pub backend: String,
    /// The newest mutation.
    pub pos: Pos,
    /// The newest event.
    pub head: Seq,
    /// Accounts.
    pub accounts: u64,
    /// Repos that are served.
    pub repos: u64,
    /// Records of these.
    pub records: u64,
    /// References that they hold.
    pub refs: u64,
    /// Bytes behind these references.
    pub bytes: u64,
    /// Space.
    pub space: SpaceUse,
    /// Counters of the engine since it was opened, by name.
    pub counters: Vec<(String, u64)>,
    /// Why writing has stopped, if it has.
    pub stopped: Option<String>,
}

/// Maintenance.
#[async_trait]
pub trait Maintenance {
    /// Forgets up to `budget` entries of what is due. Due at a time `now` are:
    ///
    /// - of each mutation taken at `now` - history window or before: its receipt; the blocks whose last reference it took
    ///   away and that nobody refers to since; the commit that its commit replaced;
    /// - a generation or an account's blobs ([`Sweep`](crate::Sweep)) that became invisible at that time or before; a
    ///   [`Sweep::Purge`](crate::Sweep) at once;
    /// - rows that expired;
    /// - events appended before `now` - event retention, but never the newest.
    ///
    /// - **M1** What is due is gone when `done` is returned; what is not due stays
    ///   (`maintenance_sweep_forgets_what_is_due`).
    /// - **M2** A purge makes one account's past due at once (`maintenance_purge_shortens_the_window`).
    /// - **M7** A sweep in small steps comes to the same state as one in a large step
    ///   (`maintenance_small_budgets_come_to_the_same`).
    async fn sweep(&self, budget: usize) -> Result<SweepReport>;

    /// Checks what is stored against itself.
    ///
    /// With [`VerifyLevel::Repair`] what is damaged is healed first; nothing damaged is thrown away, and what cannot be
    /// healed is a problem, by name. A backend that keeps no second witness of its own heals nothing.
    ///
    /// - **M3** A sound store has no problem (`maintenance_verify_finds_a_sound_store_sound`).
    async fn verify(&self, level: VerifyLevel) -> Result<VerifyReport>;

    /// Figures.
    ///
    /// - **M4** Totals are those of the repos (`maintenance_stats_add_up`).
    async fn stats(&self) -> Result<Stats>;

    /// Brings everything derived up to the newest mutation, so that the next open has nothing to replay.
    async fn checkpoint(&self) -> Result<()>;

    /// Ends: waits for what was taken, refuses what comes later with `Closed`.
    ///
    /// - **M5** Everything acknowledged is there after close and reopen (`maintenance_close_keeps_everything`).
    /// - **M6** Writes after it are refused with `Closed`, and waiters are answered (`maintenance_closed_refuses_writes`).
    async fn close(&self) -> Result<()>;
}
