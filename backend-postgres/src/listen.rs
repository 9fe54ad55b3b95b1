//! Hears of what other processes write. A notification only wakes; where the store stands is read.
//!
//! Asking does not wait for hearing: a listener that cannot connect, or whose connection has died without a word, costs time
//! and no event.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Executor as _, PgPool};
use tokio::sync::Notify;

use crate::shared::{CONNECT_TIMEOUT, Shared};
use crate::types::Columns as _;

/// A lost notification costs so much time, and no event.
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// When nothing was heard for so long, whether the connection is still there is asked on it.
const TRY_AFTER: Duration = Duration::from_secs(10);
const DELAY_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// How long a connection that is of no use may take to go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Until the store is closed.
pub(crate) async fn listen(shared: Arc<Shared>) {
    let mut watch = shared.head.0.subscribe();
    let mut closed = std::pin::pin!(async move { drop(watch.wait_for(|watched| watched.closed).await) });
    let news = Notify::new();
    let mut asking = std::pin::pin!(ask(&shared, &news));
    loop {
        // One for each attempt, and its only connection: what a dead one leaves behind takes nobody's place.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(shared.connect.clone());
        let attempt = async {
            if let Err(e) = hear(&shared, &news, &pool).await {
                tracing::debug!(error = %e, "the listener lost its connection");
            }
            close(&pool).await;
            tokio::time::sleep(DELAY_AFTER_FAILURE).await;
        };
        tokio::select! {
            () = attempt => {}
            () = &mut asking => {}
            () = &mut closed => return close(&pool).await,
        }
    }
}

async fn close(pool: &PgPool) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, pool.close()).await;
}

/// Asks where the store stands: when there is news, and now and then.
async fn ask(shared: &Shared, news: &Notify) {
    loop {
        let _ = tokio::time::timeout(ASK_AT_LEAST_EVERY, news.notified()).await;
        let row = shared
            .row("read the newest event", || sqlx::query("SELECT seq FROM store ORDER BY turn DESC LIMIT 1"))
            .await;
        if let Ok(Some(row)) = row
            && let Ok(seq) = row.seq(0)
        {
            shared.head.reached(seq);
        }
    }
}

/// Listens until the connection is lost for good.
async fn hear(shared: &Shared, news: &Notify, pool: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    shared.in_time(1, listener.listen(&shared.channel)).await??;
    // What came before was not heard.
    news.notify_one();
    loop {
        let Ok(heard) = tokio::time::timeout(TRY_AFTER, listener.try_recv()).await else {
            shared.in_time(1, listener.execute("SELECT")).await??;
            continue;
        };
        // None: the connection was lost and made anew, and what came meanwhile was not heard. A notification says up to
        // where; most are of what this process wrote itself.
        let is_known =
            heard?.is_some_and(|heard| heard.payload().parse().is_ok_and(|seq: u64| seq <= shared.head.seq().get()));
        if !is_known {
            news.notify_one();
        }
    }
}
