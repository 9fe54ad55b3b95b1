//! Slots of the change feed. What nobody has registered for is not recorded; what every slot has read is deleted.

use std::sync::atomic::{AtomicBool, Ordering};

use backend_api::{Error, Micros, Pos, Reason, Result};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::backend::Postgres;
use crate::sql::Query;
use crate::sweep::STEP_BYTES;
use crate::types::{Columns as _, Time, signed};
use crate::write::{Failed, Opened, Position};

/// Changes deleted by one statement, unless they have many bytes.
const DELETED_MAX: i64 = 1_000;

/// Statements of a change of the slots.
const STATEMENTS: u32 = 5;

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 128 || name.contains('\0') {
        return Err(Error::new(Reason::BadRequest, "slot: a name has 1 to 128 bytes, none of them zero"));
    }
    Ok(())
}

/// Registers a slot, if it is not there: from its position on every mutation is recorded. A slot is not registered over a
/// fence; by who opens the store, over one that is raised.
pub(crate) async fn register(
    connection: &mut PgConnection,
    name: &str,
    now: Micros,
    opened: Option<Opened>,
) -> Result<Pos, Failed> {
    check_name(name)?;
    let mut transaction = connection.begin().await?;
    // Under the lock of the store's row: a group that is planned without it notices the turn.
    let store = Position::lock(&mut transaction).await?;
    let there = sqlx::query("SELECT pos FROM slots WHERE name = $1").bind(name).fetch_optional(&mut *transaction).await;
    if let Some(row) = there? {
        return Ok(row.pos(0)?);
    }
    store.open_to(opened.unwrap_or(store.opened))?;
    let sql = "INSERT INTO slots (name, pos, created_at) VALUES ($1, $2, $3)";
    let insert = sqlx::query(sql).bind(name).bind(signed(store.pos.0)).bind(Time(now));
    insert.execute(&mut *transaction).await?;
    let sql = "UPDATE store SET turn = turn + 1, changes_after = coalesce(changes_after, pos) WHERE turn = $1";
    sqlx::query(sql).bind(store.turn).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(store.pos)
}

impl Postgres {
    /// Registers for the change feed: every mutation after the position that is returned can be read until the slot is
    /// advanced over it or dropped. A slot that is there already gives the position that it was advanced to.
    ///
    /// # Errors
    /// [`Reason::Closed`] over a fence, if the slot is not there yet, and of a store that is closed; those of the database.
    pub async fn register_slot(&self, name: &str) -> Result<Pos> {
        let (now, opened) = (self.shared.options.clock.now(), Some(self.shared.opened));
        let attempt = || async {
            let mut connection = self.shared.connect_to_lock().await?;
            self.shared.in_time(STATEMENTS, register(&mut connection, name, now, opened)).await?
        };
        self.shared.again("register a slot of the change feed", attempt).await
    }

    /// Says that a slot has read everything up to a position. Changes that no slot has still to read are deleted.
    ///
    /// # Errors
    /// [`Reason::RowMissing`] if there is no such slot; [`Reason::Closed`] over a fence; those of the database.
    pub async fn advance_slot(&self, name: &str, pos: Pos) -> Result<()> {
        let sql = include_str!("../sql/advance_slot.sql");
        self.change_slots(name, || sqlx::query(sql).bind(name).bind(signed(pos.0))).await
    }

    /// Drops a slot. With the last one the feed ends.
    ///
    /// # Errors
    /// [`Reason::RowMissing`] if there is no such slot; those of the database.
    pub async fn drop_slot(&self, name: &str) -> Result<()> {
        self.change_slots(name, || sqlx::query("DELETE FROM slots WHERE name = $1").bind(name)).await
    }

    async fn change_slots<'q>(&self, name: &str, change: impl Fn() -> Query<'q>) -> Result<()> {
        check_name(name)?;
        // An attempt whose end is not known may have dropped what the next one does not find.
        let may_be_done = AtomicBool::new(false);
        let attempt = || async {
            let mut connection = self.shared.connect_to_lock().await?;
            let changed = self.changed(&mut connection, change(), &may_be_done);
            if !self.shared.in_time(STATEMENTS, changed).await?? {
                return Err(Error::new(Reason::RowMissing, format!("slot: there is no {name:?}")).into());
            }
            // Nobody can ask for these any more: in small steps, without the lock.
            loop {
                let delete = sqlx::query(include_str!("../sql/delete_changes.sql"));
                let delete = delete.bind(DELETED_MAX).bind(signed(STEP_BYTES));
                let deleted = self.shared.in_time(1, delete.execute(&mut connection)).await?;
                if deleted?.rows_affected() == 0 {
                    return Ok(());
                }
            }
        };
        self.shared.again("change a slot of the change feed", attempt).await
    }

    /// False if there is no such slot, and never was one in an attempt before.
    async fn changed(
        &self,
        connection: &mut PgConnection,
        change: Query<'_>,
        may_be_done: &AtomicBool,
    ) -> Result<bool, Failed> {
        let mut transaction = connection.begin().await?;
        let store = Position::lock(&mut transaction).await?;
        store.open_to(self.shared.opened)?;
        if change.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(may_be_done.load(Ordering::Relaxed));
        }
        let sql = "UPDATE store SET turn = turn + 1, changes_after = (SELECT min(pos) FROM slots) WHERE turn = $1";
        sqlx::query(sql).bind(store.turn).execute(&mut *transaction).await?;
        may_be_done.store(true, Ordering::Relaxed);
        transaction.commit().await?;
        Ok(true)
    }
}
