use async_trait::async_trait;
use backend_api::{Error, EventFrame, EventWindow, Firehose, Reason, Result, Seq};
use bytes::Bytes;
use sqlx::postgres::PgRow;

use super::{Postgres, bound};
use crate::shared::closed;
use crate::types::{Columns as _, signed};

#[async_trait]
impl Firehose for Postgres {
    async fn event_window(&self) -> Result<EventWindow> {
        let query = || sqlx::query(include_str!("../../sql/event_window.sql"));
        let rows = self.shared.rows_of_now("read the window of events", 0, query).await?;
        window(rows.first().ok_or_else(no_store)?)
    }

    async fn events(&self, after: Seq, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let limit = bound(limit)?;
        let query = || {
            let query = sqlx::query(include_str!("../../sql/events.sql"));
            query.bind(signed(after.get())).bind(limit as i64).bind(signed(bytes_max as u64))
        };
        // The window comes with every event, and once if there is none.
        let rows = self.shared.rows_of_now("read events", 0, query).await?;
        let window = window(rows.first().ok_or_else(no_store)?)?;
        if after > window.head {
            let detail = format!("cursor {after} is beyond the newest event, {}", window.head);
            return Err(Error::new(Reason::FutureCursor, detail));
        }
        if after < window.head && after.plus(1)? < window.oldest {
            let detail = format!("cursor {after}: the oldest event that is kept is {}", window.oldest);
            return Err(Error::new(Reason::CursorGone, detail));
        }
        if after == window.head {
            return Ok(Vec::new());
        }
        rows.iter().map(|row| event(row, 2)).collect()
    }

    async fn wait_events(&self, after: Seq) -> Result<Seq> {
        let mut watch = self.shared.head.0.subscribe();
        let seen = watch.wait_for(|watched| watched.closed || watched.head > after).await;
        match seen {
            Ok(watched) if !watched.closed => Ok(watched.head),
            _ => Err(closed()),
        }
    }
}

fn no_store() -> Error {
    crate::types::corrupt("the table `store` has no row")
}

/// head, oldest.
fn window(row: &PgRow) -> Result<EventWindow> {
    Ok(EventWindow { oldest: row.seq(1)?, head: row.seq(0)? })
}

/// From a column on: seq, at, frame.
pub(super) fn event(row: &PgRow, from: usize) -> Result<EventFrame> {
    let frame = Bytes::copy_from_slice(row.bytes(from + 2)?);
    Ok(EventFrame { seq: row.seq(from)?, at: row.time(from + 1)?, frame })
}
