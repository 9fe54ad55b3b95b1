use async_trait::async_trait;
use backend_api::{Change, Changes, Pos, Result};

use super::{Tranquil, page};

#[async_trait]
impl Changes for Tranquil {
    async fn position(&self) -> Result<Pos> {
        Ok(Pos(self.shared.tables().mark.pos))
    }

    async fn changes(&self, after: Pos, limit: usize, bytes_max: usize) -> Result<Vec<Change>> {
        let limit = page(limit)?;
        let shared = std::sync::Arc::clone(&self.shared);
        self.pool.run(move || crate::feed::changes(&shared, after, limit, bytes_max)).await
    }
}
