//! The news that the host is ending.

use tokio::sync::watch;

/// Knows whether the host is ending.
#[derive(Clone)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    /// The news, and who tells it. It is also told when the sender goes.
    #[must_use]
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// True once the host is ending.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for it.
    pub async fn begun(mut self) {
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}
