//! Sweeping the store: what is past its window goes, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use backend_api::Backend;

use crate::closing::Closing;

/// Entries of one step, so that no step holds up anybody's writes.
const STEP_ENTRIES: usize = 1_000;

/// Sweeps until the host ends.
pub(super) async fn run(backend: Arc<dyn Backend>, pause: Duration, closing: Closing) {
    loop {
        if tokio::time::timeout(pause, closing.clone().begun()).await.is_ok() {
            return;
        }
        loop {
            match backend.sweep(STEP_ENTRIES).await {
                Ok(report) if !report.done && !closing.has_begun() => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(e) => {
                    tracing::warn!("sweeping the store: {e}");
                    break;
                }
            }
        }
    }
}
