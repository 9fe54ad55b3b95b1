//! Where the store stands, as its one row says.

use backend_api::{Error, Micros, Pos, Reason, Result, Seq, Stamp};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::load::Failed;
use crate::types::{Columns as _, corrupt};

/// Which store was opened, and under which write fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    pub id: [u8; 16],
    pub epoch: i64,
}

/// The row of `store`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// Counts the transactions that changed anything.
    pub turn: i64,
    pub opened: Opened,
    pub writable: bool,
    /// The newest mutation.
    pub pos: Pos,
    /// The newest event.
    pub seq: Seq,
    /// When the newest mutation was taken.
    pub at: Micros,
    /// When something was last forgotten because of its time.
    pub swept_at: Micros,
    /// The past of mutations up to here is forgotten.
    pub swept_pos: Pos,
    /// The change feed has what comes after; `None` if it is not recorded.
    pub changes_after: Option<Pos>,
    /// The oldest event that is kept; the next one if none is.
    pub oldest: Seq,
}

impl Position {
    /// Reads it, without a lock.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, Failed> {
        let row = sqlx::query(include_str!("../../sql/read_store.sql")).fetch_one(connection).await?;
        Ok(Self::decode(&row)?)
    }

    /// Reads it and locks it until the end of the transaction: nobody else writes meanwhile. All that was committed before is
    /// seen by the statements after this one.
    pub async fn lock(connection: &mut PgConnection) -> Result<Self, Failed> {
        let row = sqlx::query(include_str!("../../sql/lock_store.sql")).fetch_one(connection).await?;
        Ok(Self::decode(&row)?)
    }

    fn decode(row: &PgRow) -> Result<Self> {
        let id = row.bytes(10)?.try_into().map_err(|_| corrupt("store.id has not 16 bytes"))?;
        Ok(Self {
            turn: row.try_get(0).map_err(corrupt)?,
            opened: Opened { id, epoch: row.try_get(1).map_err(corrupt)? },
            writable: row.try_get(2).map_err(corrupt)?,
            pos: row.pos(3)?,
            seq: row.seq(4)?,
            at: row.time(5)?,
            swept_at: row.time(6)?,
            swept_pos: row.pos(7)?,
            changes_after: row.optional_number(8)?.map(Pos),
            oldest: row.seq(9)?,
        })
    }

    /// True if the store has not moved since, also not to the same turn by another way.
    pub fn is_at(&self, known: &Self) -> bool {
        let place = |of: &Self| (of.turn, of.opened, of.pos, of.seq, of.at);
        place(self) == place(known)
    }

    /// Refuses if somebody has raised the fence since the store was opened, or has put another one in its place.
    pub fn open_to(&self, opened: Opened) -> Result<()> {
        if self.opened.id != opened.id {
            let detail = "the database has another store now; nothing was written: open it again";
            return Err(Error::new(Reason::WrongStore, detail));
        }
        let (epoch, now) = (opened.epoch, self.opened.epoch);
        let why = if now != epoch {
            format!("it was opened under epoch {epoch}, and the database has {now}: open it again")
        } else if !self.writable {
            "the database takes no writes until its fence is lowered".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(Reason::Closed, format!("fenced: {why}; nothing was written")))
    }

    /// No time before this one is given to anything any more.
    pub fn floor(&self) -> Micros {
        self.at.max(self.swept_at)
    }

    /// The numbers of the next mutation.
    pub fn stamp(&self, now: Micros) -> Result<Stamp> {
        Ok(Stamp { pos: Pos(self.pos.0 + 1), at: now.max(self.floor()), first_seq: self.seq.plus(1)? })
    }

    /// After a mutation with these numbers and so many events.
    pub fn after(self, stamp: Stamp, events: u32) -> Result<Self> {
        Ok(Self { pos: stamp.pos, seq: self.seq.plus(u64::from(events))?, at: stamp.at, ..self })
    }
}
