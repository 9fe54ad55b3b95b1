//! Forgetting what is due, in bounded steps, each a transaction of its own under the lock of the store's row.

use std::time::Duration;

use backend_api::{Cid, Micros, Reason, Result, SweepReport};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::clock::Stopwatch;
use crate::error::failed;
use crate::shared::Shared;
use crate::types::{Columns as _, Time, corrupt, signed};
use crate::write::Position;

/// Entries forgotten by one transaction: writers wait for no more.
const STEP: usize = 2_000;
/// And bytes of them, but for the last: each page that something is deleted from is written whole to the server's log.
pub(crate) const STEP_BYTES: u64 = 16 * 1024 * 1024;
/// Generations, blobs and purges that one transaction ends: each takes some statements, however little there is of it.
const ENDED: usize = 32;
/// Mutations of the past that are looked at together.
const MUTATIONS: i64 = 256;
/// CIDs of the past that one transaction looks at, also where the budget is small: most of a busy repo are needed again.
const LOOKS_MIN: usize = 256;
/// Blocks of a purged repo that are looked at together.
const PURGED: i64 = 5_000;
/// A step has many short statements: what takes as long as so many that the server gives up is not heard.
const STATEMENTS_MAX: u32 = 7;
/// Between attempts at one step.
const PAUSE: Duration = Duration::from_millis(200);

fn fail(e: sqlx::Error) -> backend_api::Error {
    failed("sweep", &e)
}

/// How far the past of mutations was looked at: of those before `pos` every CID, of that one so many bytes of them. A CID is
/// looked at once: a block that a mutation has not left to be forgotten it never will, for what takes a reference away later
/// makes the block its own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looked {
    pos: i64,
    bytes: i64,
}

/// What is due. What cannot be read of one part holds up none of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    History,
    Sweeps,
    Rows,
    Events,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::History => "the past of mutations",
            Self::Sweeps => "what became invisible",
            Self::Rows => "rows that expired",
            Self::Events => "events past their retention",
        }
    }
}

const PARTS: [Part; 4] = [Part::History, Part::Sweeps, Part::Rows, Part::Events];

/// Which parts a sweep is done with, and which it is at.
#[derive(Default)]
struct Parts {
    held: Vec<Part>,
    at: Option<Part>,
}

/// Forgets up to `budget` entries, and looks at hardly more. A step that fails for a reason that may pass is made again, as a
/// write is.
pub(crate) async fn sweep(shared: &Shared, budget: usize) -> Result<SweepReport> {
    shared.is_open()?;
    let watch = Stopwatch::start();
    let mut report = SweepReport::default();
    let (mut connection, mut looks, mut parts) = (None, 0, Parts::default());
    loop {
        let forgotten = forgotten_by(&report);
        let left = budget.saturating_sub(usize::try_from(forgotten).unwrap_or(usize::MAX));
        let mut after = report.clone();
        match attempt(shared, &mut connection, left.min(STEP), &mut parts, &mut after).await {
            Ok(step) => {
                report = after;
                looks += step.looks;
                // Who is told that more is left is told that something went.
                let has_worked = looks >= budget.max(STEP) && forgotten_by(&report) > 0;
                if step.done || left == 0 || has_worked {
                    report.done = step.done;
                    return Ok(report);
                }
            }
            Err(e) if e.reason() == Reason::ReadFailed && watch.elapsed() < shared.options.retry_for => {
                connection = None;
                shared.is_open()?;
                tokio::time::sleep(PAUSE).await;
            }
            Err(e) => {
                let is_of_part = matches!(e.reason(), Reason::DataCorrupt | Reason::ReadFailed | Reason::StorageFull);
                let Some(part) = parts.at.filter(|_| is_of_part) else { return Err(e) };
                tracing::error!(error = %e, "{} stands still", part.name());
                parts.held.push(part);
                report.held.push(format!("{} stands still: {e}", part.name()));
                connection = None;
            }
        }
    }
}

fn forgotten_by(report: &SweepReport) -> u64 {
    report.blocks + report.entries + report.rows + report.events
}

async fn attempt(
    shared: &Shared,
    connection: &mut Option<PgConnection>,
    budget: usize,
    parts: &mut Parts,
    report: &mut SweepReport,
) -> Result<Step> {
    parts.at = None;
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(shared.connect_to_lock().await.map_err(fail)?),
    };
    shared.in_time(STATEMENTS_MAX, step(shared, connection, budget, parts, report)).await.map_err(fail)?
}

/// What one transaction did.
struct Step {
    /// True if nothing that is due is left.
    done: bool,
    /// CIDs that were looked at.
    looks: usize,
}

/// One transaction.
async fn step(
    shared: &Shared,
    connection: &mut PgConnection,
    budget: usize,
    parts: &mut Parts,
    report: &mut SweepReport,
) -> Result<Step> {
    let mut transaction = connection.begin().await.map_err(fail)?;
    let store = Position::lock(&mut transaction).await.map_err(|e| e.into_error("lock the store's row"))?;
    store.open_to(shared.opened)?;
    let now = shared.options.clock.now().max(store.floor());
    let before = report.clone();
    let mut sweeper = Sweeper {
        connection: &mut transaction,
        store,
        now,
        left: budget,
        bytes: STEP_BYTES,
        looks: budget.max(LOOKS_MIN),
        looked: shared.looked(),
        has_moved: false,
        report,
    };
    let looks = sweeper.looks;
    let done = sweeper.all(parts, shared.options.history_window_us, shared.options.event_retention_us).await?;
    let step = Step { done, looks: looks - sweeper.looks };
    let (looked, has_moved) = (sweeper.looked, sweeper.has_moved);
    let (after, swept_pos, oldest) = (sweeper.report.clone(), sweeper.store.swept_pos, sweeper.store.oldest);
    let has_forgotten = SweepReport { done: before.done, ..after } != before;
    if !has_forgotten && !has_moved {
        // What was only looked at makes no turn, for which others would have to plan again.
        transaction.rollback().await.map_err(fail)?;
        shared.set_looked(looked);
        return Ok(step);
    }
    // Later mutations have no earlier time: what was forgotten because of its time stays so.
    let swept_at = if has_forgotten { now.max(store.swept_at) } else { store.swept_at };
    sqlx::query("UPDATE store SET turn = turn + 1, swept_at = $1, swept_pos = $2, oldest = $3 WHERE turn = $4")
        .bind(Time(swept_at))
        .bind(signed(swept_pos.0))
        .bind(signed(oldest.get()))
        .bind(store.turn)
        .execute(&mut *transaction)
        .await
        .map_err(fail)
        .and_then(|done| match done.rows_affected() {
            1 => Ok(()),
            _ => Err(corrupt("the row of the store changed under its lock")),
        })?;
    transaction.commit().await.map_err(fail)?;
    shared.set_looked(looked);
    Ok(step)
}

struct Sweeper<'a> {
    connection: &'a mut PgConnection,
    store: Position,
    now: Micros,
    /// Entries that may still be forgotten.
    left: usize,
    /// Bytes that may still be forgotten. With the last of them the entries end.
    bytes: u64,
    /// CIDs of the past that may still be looked at.
    looks: usize,
    looked: Looked,
    /// True if a purge has looked at a window of blocks, also if none of them went.
    has_moved: bool,
    report: &'a mut SweepReport,
}

impl Sweeper<'_> {
    /// All that is due, as far as the budget goes. False if some of it may be left.
    async fn all(&mut self, parts: &mut Parts, history_window_us: u64, event_retention_us: u64) -> Result<bool> {
        let now = self.now.0;
        let past = |window_us| now.checked_sub(window_us).map(Micros);
        let (history, events) = (past(history_window_us), past(event_retention_us));
        let mut is_done = true;
        for part in PARTS.into_iter().filter(|part| !parts.held.contains(part)) {
            parts.at = Some(part);
            is_done = match (part, history, events) {
                (Part::History, Some(cutoff), _) => self.history(cutoff).await?,
                (Part::Sweeps, cutoff, _) => self.sweeps(cutoff).await?,
                (Part::Rows, ..) => self.rows().await?,
                (Part::Events, _, Some(cutoff)) => self.events(cutoff).await?,
                (Part::History | Part::Events, ..) => true,
            };
            if !is_done {
                break;
            }
        }
        parts.at = None;
        Ok(is_done)
    }

    /// What mutations left behind: replaced blocks and commits, receipts. False if the budget ended before them.
    async fn history(&mut self, cutoff: Micros) -> Result<bool> {
        while self.looks > 0 {
            let past = sqlx::query(include_str!("../sql/sweep_past.sql"))
                .bind(signed(self.store.swept_pos.0))
                .bind(MUTATIONS)
                .bind(Time(cutoff))
                .bind(self.looked.pos)
                .bind(self.looked.bytes)
                .bind((self.looks * Cid::BYTES) as i64)
                .fetch_all(&mut *self.connection)
                .await
                .map_err(fail)?;
            if past.is_empty() {
                return Ok(true);
            }
            let past = past.iter().map(Past::decode).collect::<Result<Vec<_>>>()?;
            if self.left == 0 || !self.blocks(&past).await? || !self.forget(&past).await? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Blocks that nobody refers to any more. False if the budget ended before the last of them.
    async fn blocks(&mut self, past: &[Past]) -> Result<bool> {
        let all = || past.iter().flat_map(|one| one.released.chunks(Cid::BYTES).enumerate().map(move |cid| (one, cid)));
        let mut looked = all().count();
        if looked > 0 {
            let (sql, left) = (include_str!("../sql/sweep_released.sql"), self.left as i64);
            let query = sqlx::query(sql)
                .bind(all().map(|(one, _)| one.repo).collect::<Vec<i64>>())
                .bind(all().map(|(_, (_, cid))| cid).collect::<Vec<&[u8]>>())
                .bind(all().map(|(one, _)| one.pos).collect::<Vec<i64>>())
                .bind(left)
                .bind(signed(self.bytes));
            let row = query.fetch_one(&mut *self.connection).await.map_err(fail)?;
            let (deleted, last) = (row.number(0)?, row.number(1)?);
            self.report.blocks += deleted;
            self.spend(deleted, row.number(2)?)?;
            if self.left == 0 {
                looked = last as usize;
            }
        }
        self.looks = self.looks.saturating_sub(looked);
        if let Some((one, (n, _))) = looked.checked_sub(1).and_then(|last| all().nth(last)) {
            self.looked = Looked { pos: one.pos, bytes: one.before + ((n + 1) * Cid::BYTES) as i64 };
        }
        Ok(self.left > 0)
    }

    /// What else mutations have all of whose CIDs were looked at. False if there is something left of these.
    async fn forget(&mut self, past: &[Past]) -> Result<bool> {
        let whole = past.iter().take_while(|one| one.is_whole).count();
        // Each has a commit and a receipt at the most.
        let some = &past[..whole.min((self.left / 2).max(1))];
        let some = &some[..self.fitting(some.iter().map(|one| one.bytes))];
        let Some(last) = some.last() else { return Ok(true) };
        let replaced = some.iter().filter_map(|one| Some((one.repo, one.replaced.as_deref()?)));
        let (repos, revs): (Vec<i64>, Vec<&str>) = replaced.unzip();
        if !repos.is_empty() {
            self.commits(repos, revs).await?;
        }
        if self.left == 0 {
            return Ok(false);
        }
        let positions: Vec<i64> = some.iter().map(|one| one.pos).collect();
        self.entries(sqlx::query("DELETE FROM mutations WHERE pos = ANY ($1)").bind(positions)).await?;
        self.spend(0, some.iter().map(|one| one.bytes).sum())?;
        self.store.swept_pos = backend_api::Pos(last.pos.unsigned_abs());
        Ok(self.left > 0)
    }

    async fn commits(&mut self, repos: Vec<i64>, revs: Vec<&str>) -> Result<()> {
        self.entries(sqlx::query(include_str!("../sql/sweep_replaced.sql")).bind(repos).bind(revs)).await
    }

    async fn entries(&mut self, query: crate::sql::Query<'_>) -> Result<()> {
        let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
        self.report.entries += deleted;
        self.spend(deleted, 0)
    }

    /// Deletes what is long, as much of it as may go. How many entries went.
    async fn long(&mut self, query: crate::sql::Query<'_>) -> Result<u64> {
        let query = query.bind(self.left as i64).bind(signed(self.bytes));
        let row = query.fetch_one(&mut *self.connection).await.map_err(fail)?;
        let deleted = row.number(0)?;
        self.spend(deleted, row.number(1)?)?;
        Ok(deleted)
    }

    fn spend(&mut self, deleted: u64, bytes: u64) -> Result<()> {
        let left = usize::try_from(deleted).ok().and_then(|deleted| self.left.checked_sub(deleted));
        let left =
            left.ok_or_else(|| backend_api::Error::new(Reason::ReadFailed, "a sweep forgot more than it may"))?;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.left = if self.bytes == 0 { 0 } else { left };
        Ok(())
    }

    /// How many of these may go: those that begin within the bytes that are left.
    fn fitting(&self, sizes: impl Iterator<Item = u64>) -> usize {
        let begins = sizes.scan(0, |before, own| Some(std::mem::replace(before, *before + own)));
        begins.take(self.left).take_while(|before| *before < self.bytes).count()
    }

    /// Generations and blobs that nobody can reach, and purges.
    async fn sweeps(&mut self, cutoff: Option<Micros>) -> Result<bool> {
        let cutoff = cutoff.unwrap_or_default();
        for _ in 0..ENDED {
            let query = sqlx::query(include_str!("../sql/sweep_next.sql")).bind(Time(cutoff));
            let Some(row) = query.fetch_optional(&mut *self.connection).await.map_err(fail)? else { return Ok(true) };
            let (kind, id, pos) = (row.number(0)?, signed(row.number(1)?), signed(row.number(2)?));
            let is_over = match kind {
                1 => self.generation(id).await?,
                2 => self.part(include_str!("../sql/sweep_blobs.sql"), id).await?,
                _ => self.purge(id, pos, row.bytes(3)?.to_vec()).await?,
            };
            if !is_over || self.left == 0 {
                return Ok(false);
            }
            let query = sqlx::query("DELETE FROM sweeps WHERE kind = $1 AND id = $2 AND pos = $3");
            self.entries(query.bind(kind as i16).bind(id).bind(pos)).await?;
        }
        Ok(false)
    }

    /// True if nothing is left of it.
    async fn part(&mut self, sql: &'static str, id: i64) -> Result<bool> {
        if self.left > 0 {
            let left = self.left as i64;
            self.entries(sqlx::query(sql).bind(id).bind(left)).await?;
        }
        Ok(self.left > 0)
    }

    async fn generation(&mut self, id: i64) -> Result<bool> {
        if self.left > 0 {
            self.report.blocks += self.long(sqlx::query(include_str!("../sql/sweep_blocks.sql")).bind(id)).await?;
        }
        if self.left > 0 {
            self.report.entries += self.long(sqlx::query(include_str!("../sql/sweep_records.sql")).bind(id)).await?;
        }
        for sql in [
            include_str!("../sql/sweep_commits.sql"),
            include_str!("../sql/sweep_uses.sql"),
            include_str!("../sql/sweep_links.sql"),
        ] {
            if !self.part(sql, id).await? {
                return Ok(false);
            }
        }
        self.entries(sqlx::query("DELETE FROM repos WHERE id = $1").bind(id)).await?;
        Ok(self.left > 0)
    }

    /// Blocks without references are looked for in windows: a large repo does not hold the lock for long.
    async fn purge(&mut self, id: i64, pos: i64, after: Vec<u8>) -> Result<bool> {
        let query = sqlx::query(include_str!("../sql/purge_window.sql")).bind(id).bind(&after).bind(PURGED);
        let Some(row) = query.fetch_optional(&mut *self.connection).await.map_err(fail)? else {
            return self.purge_commits(id, pos).await;
        };
        let end = row.bytes(0)?;
        if self.left == 0 {
            return Ok(false);
        }
        let query = sqlx::query(include_str!("../sql/purge_blocks.sql"));
        self.report.blocks += self.long(query.bind(id).bind(&after).bind(end).bind(pos)).await?;
        // With budget left the window is done with.
        if self.left > 0 {
            let sql = "UPDATE sweeps SET after = $3 WHERE kind = 3 AND id = $1 AND pos = $2";
            let moved = sqlx::query(sql).bind(id).bind(pos).bind(end).execute(&mut *self.connection).await;
            moved.map_err(fail)?;
            self.has_moved = true;
        }
        Ok(false)
    }

    async fn purge_commits(&mut self, id: i64, pos: i64) -> Result<bool> {
        if self.left > 0 {
            let query = sqlx::query(include_str!("../sql/purge_commits.sql"));
            let query = query.bind(id).bind(pos).bind(self.left as i64);
            self.entries(query).await?;
        }
        Ok(self.left > 0)
    }

    /// Rows that are expired, one more of which is looked for than may go.
    async fn rows(&mut self) -> Result<bool> {
        let expired =
            sqlx::query(include_str!("../sql/sweep_rows.sql")).bind(Time(self.now)).bind(self.left as i64 + 1);
        let due = expired.fetch_all(&mut *self.connection).await.map_err(fail)?;
        let sizes = due.iter().map(|row| row.number(2)).collect::<Result<Vec<_>>>()?;
        let some = &due[..self.fitting(sizes.iter().copied())];
        if !some.is_empty() {
            let kinds = some.iter().map(|row| row.number(0).map(|kind| kind as i16)).collect::<Result<Vec<_>>>()?;
            let keys = some.iter().map(|row| row.bytes(1)).collect::<Result<Vec<_>>>()?;
            let query = sqlx::query(include_str!("../sql/delete_rows.sql")).bind(kinds).bind(keys);
            let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
            self.report.rows += deleted;
            self.spend(deleted, sizes[..some.len()].iter().sum())?;
        }
        Ok(some.len() == due.len())
    }

    async fn events(&mut self, cutoff: Micros) -> Result<bool> {
        let query = sqlx::query(include_str!("../sql/sweep_events.sql"));
        let query = query.bind(signed(self.store.seq.get())).bind(self.left as i64 + 1).bind(Time(cutoff));
        let query = query.bind(signed(self.store.oldest.get()));
        let due = query.fetch_all(&mut *self.connection).await.map_err(fail)?;
        let sizes = due.iter().map(|row| row.number(1)).collect::<Result<Vec<_>>>()?;
        let some = &due[..self.fitting(sizes.iter().copied())];
        if let Some(last) = some.last() {
            let (oldest, last) = (self.store.oldest, last.seq(0)?);
            let query = sqlx::query("DELETE FROM events WHERE seq BETWEEN $1 AND $2");
            let query = query.bind(signed(oldest.get())).bind(signed(last.get()));
            self.store.oldest = last.plus(1)?;
            let deleted = query.execute(&mut *self.connection).await.map_err(fail)?.rows_affected();
            self.report.events += deleted;
            self.spend(deleted, sizes[..some.len()].iter().sum())?;
        }
        Ok(some.len() == due.len())
    }
}

/// What a mutation of the past left to be forgotten.
struct Past {
    pos: i64,
    repo: i64,
    /// CIDs that are to be looked at now, and the bytes of those before them.
    released: Vec<u8>,
    before: i64,
    /// True if these are the last ones.
    is_whole: bool,
    replaced: Option<String>,
    /// What goes with it.
    bytes: u64,
}

impl Past {
    fn decode(row: &PgRow) -> Result<Self> {
        let (released, before, all) = (row.bytes(2)?.to_vec(), signed(row.number(3)?), signed(row.number(4)?));
        if released.len() % Cid::BYTES != 0 {
            return Err(corrupt("mutations.released is no list of CIDs"));
        }
        Ok(Self {
            pos: signed(row.number(0)?),
            repo: signed(row.optional_number(1)?.unwrap_or_default()),
            is_whole: before + released.len() as i64 >= all,
            released,
            before,
            replaced: row.optional_text(5)?.map(str::to_owned),
            bytes: row.number(4)? + row.number(6)?,
        })
    }
}
