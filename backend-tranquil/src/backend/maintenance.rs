use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{Maintenance, Result, Stats, SweepReport, VerifyLevel, VerifyReport};

use super::Tranquil;
use crate::core::Wanted;

#[async_trait]
impl Maintenance for Tranquil {
    async fn sweep(&self, budget: usize) -> Result<SweepReport> {
        crate::tend::sweep(&self.tender, &self.shared, &self.runtime, &self.pool, budget).await
    }

    async fn verify(&self, level: VerifyLevel) -> Result<VerifyReport> {
        // Each holds a thread that reads want, for as long as the store is large: one at a time.
        let turn = Arc::new(Arc::clone(&self.checks).lock_owned().await);
        if level == VerifyLevel::Repair {
            return crate::repair::repair(&self.shared, &self.runtime, &self.pool, turn).await;
        }
        self.runtime.checkpoint().await?;
        let shared = Arc::clone(&self.shared);
        let check = move |wanted: Wanted<'_>| {
            let _held = turn;
            crate::verify::verify(&shared, level, wanted)
        };
        self.pool.run_while_wanted(check).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.read(crate::stats::stats).await
    }

    async fn checkpoint(&self) -> Result<()> {
        self.runtime.checkpoint().await
    }

    async fn close(&self) -> Result<()> {
        crate::runtime::on_own_thread(self.ending()).await?;
        match self.shared.stopped() {
            Some(_) => Err(self.shared.closed()),
            None => Ok(()),
        }
    }
}
