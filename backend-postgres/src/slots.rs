//! Slots of the change feed. What nobody has registered for is not recorded; what every slot has read is deleted.

use backend_api::{Error, Micros, Pos, Reason, Result};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::backend::Postgres;
use crate::error::failed;
use crate::types::{Columns as _, Time, signed};
use crate::write::Position;

/// Changes deleted by one statement.
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
/// fence; without an epoch, over one that is raised.
pub(crate) async fn register(
    connection: &mut PgConnection,
    name: &str,
    now: Micros,
    epoch: Option<i64>,
) -> Result<Pos> {
    check_name(name)?;
    let fail = |e| failed("register a slot of the change feed", &e);
    let mut transaction = connection.begin().await.map_err(fail)?;
    // Under the lock of the store's row: a group that is planned without it notices the turn.
    let store = Position::lock(&mut transaction).await.map_err(|e| e.into_error("lock the store's row"))?;
    let there = sqlx::query("SELECT pos FROM slots WHERE name = $1").bind(name).fetch_optional(&mut *transaction).await;
    if let Some(row) = there.map_err(fail)? {
        return row.pos(0);
    }
    store.open_to(epoch.unwrap_or(store.epoch))?;
    let sql = "INSERT INTO slots (name, pos, created_at) VALUES ($1, $2, $3)";
    let insert = sqlx::query(sql).bind(name).bind(signed(store.pos.0)).bind(Time(now));
    insert.execute(&mut *transaction).await.map_err(fail)?;
    let sql = "UPDATE store SET turn = turn + 1, changes_after = coalesce(changes_after, pos)";
    sqlx::query(sql).execute(&mut *transaction).await.map_err(fail)?;
    transaction.commit().await.map_err(fail)?;
    Ok(store.pos)
}

impl Postgres {
    /// Registers for the change feed: every mutation after the position that is returned can be read until the slot is
    /// advanced over it or dropped. A slot that is there already gives the position that it was advanced to.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn register_slot(&self, name: &str) -> Result<Pos> {
        let fail = |e| failed("register a slot of the change feed", &e);
        let mut connection = self.shared.connect_to_lock().await.map_err(fail)?;
        let registering = register(&mut connection, name, self.shared.options.clock.now(), Some(self.shared.epoch));
        self.shared.in_time(STATEMENTS, registering).await.map_err(fail)?
    }

    /// Says that a slot has read everything up to a position. Changes that no slot has still to read are deleted.
    ///
    /// # Errors
    /// [`Reason::RowMissing`] if there is no such slot; [`Reason::Closed`] over a fence; those of the database.
    pub async fn advance_slot(&self, name: &str, pos: Pos) -> Result<()> {
        let sql = "UPDATE slots SET pos = greatest(pos, least($2, (SELECT pos FROM store))) WHERE name = $1";
        self.change_slots(name, sqlx::query(sql).bind(name).bind(signed(pos.0))).await
    }

    /// Drops a slot. With the last one the feed ends.
    ///
    /// # Errors
    /// [`Reason::RowMissing`] if there is no such slot; those of the database.
    pub async fn drop_slot(&self, name: &str) -> Result<()> {
        self.change_slots(name, sqlx::query("DELETE FROM slots WHERE name = $1").bind(name)).await
    }

    async fn change_slots(&self, name: &str, change: crate::sql::Query<'_>) -> Result<()> {
        check_name(name)?;
        let fail = |e| failed("change a slot of the change feed", &e);
        let mut connection = self.shared.connect_to_lock().await.map_err(fail)?;
        self.shared.in_time(STATEMENTS, self.changed(&mut connection, name, change)).await.map_err(fail)??;
        // Nobody can ask for these any more: in small steps, without the lock.
        loop {
            let delete = sqlx::query(include_str!("../sql/delete_changes.sql")).bind(DELETED_MAX);
            let deleted = self.shared.in_time(1, delete.execute(&mut connection)).await.map_err(fail)?;
            if deleted.map_err(fail)?.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    async fn changed(&self, connection: &mut PgConnection, name: &str, change: crate::sql::Query<'_>) -> Result<()> {
        let fail = |e| failed("change a slot of the change feed", &e);
        let mut transaction = connection.begin().await.map_err(fail)?;
        let store = Position::lock(&mut transaction).await.map_err(|e| e.into_error("lock the store's row"))?;
        store.open_to(self.shared.epoch)?;
        if change.execute(&mut *transaction).await.map_err(fail)?.rows_affected() == 0 {
            return Err(Error::new(Reason::RowMissing, format!("slot: there is no {name:?}")));
        }
        let sql = "UPDATE store SET turn = turn + 1, changes_after = (SELECT min(pos) FROM slots)";
        sqlx::query(sql).execute(&mut *transaction).await.map_err(fail)?;
        transaction.commit().await.map_err(fail)
    }
}
