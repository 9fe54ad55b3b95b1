//! Many at once.

use backend_api::{Error, Reason, Receipt};
use futures::future::join_all;
use tokio::task::JoinHandle;

/// How many of the calls were taken; all others must have the one reason.
pub(crate) async fn count_taken(
    calls: impl IntoIterator<Item = JoinHandle<Result<Receipt, Error>>>,
    lost: Reason,
) -> usize {
    // Collected first, so that all of them run before one is waited for.
    let calls: Vec<_> = calls.into_iter().collect();
    let mut taken = 0;
    for answer in join_all(calls).await {
        match answer.expect("no call panics") {
            Ok(_) => taken += 1,
            Err(e) => assert_eq!(e.reason(), lost, "{e}"),
        }
    }
    taken
}
