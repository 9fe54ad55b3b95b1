use async_trait::async_trait;
use backend_api::{Result, Snapshot, Snapshots};

use super::Tranquil;

#[async_trait]
impl Snapshots for Tranquil {
    async fn snapshot(&self) -> Result<Snapshot> {
        self.runtime.checkpoint().await?;
        crate::export::snapshot(&self.shared, std::sync::Arc::clone(&self.pool))
    }
}
