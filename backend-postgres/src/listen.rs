//! Hears of what other processes write. A notification only wakes; where the store stands is read.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::shared::Shared;
use crate::types::Columns as _;

/// A lost notification costs so much time, and no event.
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
const DELAY_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Until it is aborted.
pub(crate) async fn listen(shared: Arc<Shared>) {
    loop {
        if let Err(e) = heard(&shared).await {
            tracing::debug!(error = %e, "the listener lost its connection");
        }
        tokio::time::sleep(DELAY_AFTER_FAILURE).await;
    }
}

async fn heard(shared: &Shared) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&shared.pool).await?;
    listener.listen(&shared.channel).await?;
    loop {
        // Also right after listening began: what came before was not heard.
        let row = sqlx::query("SELECT seq FROM store").fetch_one(&shared.pool).await?;
        if let Ok(seq) = row.seq(0) {
            shared.head.reached(seq);
        }
        let notified = tokio::time::timeout(ASK_AT_LEAST_EVERY, listener.try_recv()).await;
        // Neither a notification nor the time: the connection is gone, and what came meanwhile was not heard.
        if let Ok(Ok(None)) = notified {
            continue;
        }
        if let Ok(Err(e)) = notified {
            return Err(e);
        }
    }
}
