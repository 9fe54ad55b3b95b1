use async_trait::async_trait;
use backend_api::{Maintenance, Result, SpaceUse, Stats, SweepReport, VerifyLevel, VerifyReport};

use super::Postgres;
use crate::types::{Columns as _, corrupt};

#[async_trait]
impl Maintenance for Postgres {
    async fn sweep(&self, budget: usize) -> Result<SweepReport> {
        crate::sweep::sweep(&self.shared, budget).await
    }

    async fn verify(&self, level: VerifyLevel) -> Result<VerifyReport> {
        crate::verify::verify(&self.shared, level).await
    }

    async fn stats(&self) -> Result<Stats> {
        let rows = self.shared.rows("read the figures", || sqlx::query(include_str!("../../sql/stats.sql"))).await?;
        let row = rows.first().ok_or_else(|| corrupt("the table `store` has no row"))?;
        let space = self.shared.rows("read the sizes", || sqlx::query(include_str!("../../sql/space.sql"))).await?;
        let parts = space.iter().map(|row| Ok((row.text(0)?.to_owned(), row.number(1)?))).collect::<Result<_>>()?;
        let mut counters = self.shared.counters.list();
        // What another engine of the protocol, or another version of the server, may not know is left out.
        for (name, sql) in [
            ("server_wal_bytes", include_str!("../../sql/server_log.sql")),
            ("server_wal_syncs", include_str!("../../sql/server_syncs.sql")),
        ] {
            if let Ok(Some(row)) = self.shared.row("read the figures of the server's log", || sqlx::query(sql)).await {
                counters.extend(row.optional_number(0)?.map(|value| (name.to_owned(), value)));
            }
        }
        Ok(Stats {
            backend: "postgres".into(),
            pos: row.pos(0)?,
            head: row.seq(1)?,
            accounts: row.number(2)?,
            repos: row.number(3)?,
            records: row.number(4)?,
            refs: row.number(5)?,
            bytes: row.number(6)?,
            space: SpaceUse { parts },
            counters,
            stopped: self.shared.stopped().map(|why| why.detail().to_owned()),
        })
    }

    /// Nothing is derived: the tables are the store, and the server's log is the server's.
    async fn checkpoint(&self) -> Result<()> {
        self.shared.is_open()
    }

    async fn close(&self) -> Result<()> {
        self.end().await
    }
}
