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
        if let Ok(heard) = tokio::time::timeout(ASK_AT_LEAST_EVERY, news(shared, &mut listener)).await {
            heard?;
        }
    }
}

/// Waits until there may be events that this process does not know of.
async fn news(shared: &Shared, listener: &mut PgListener) -> sqlx::Result<()> {
    loop {
        // None: the connection was lost and made anew, and what came meanwhile was not heard.
        let Some(notification) = listener.try_recv().await? else { return Ok(()) };
        // A notification says up to where; most are of what this process wrote itself.
        let is_known = notification.payload().parse().is_ok_and(|seq: u64| seq <= shared.head.seq().get());
        if !is_known {
            return Ok(());
        }
    }
}
