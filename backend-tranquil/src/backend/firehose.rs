use async_trait::async_trait;
use backend_api::{Error, EventFrame, EventWindow, Firehose, Reason, Result, Seq};

use super::{Tranquil, page};

#[async_trait]
impl Firehose for Tranquil {
    async fn event_window(&self) -> Result<EventWindow> {
        self.shared.events.window()
    }

    async fn events(&self, after: Seq, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let limit = page(limit)?;
        if let Some(live) = self.shared.events.live(after.get(), limit, bytes_max) {
            return Ok(live);
        }
        self.read(move |shared| shared.events.events(after.get(), limit, bytes_max)).await
    }

    async fn wait_events(&self, after: Seq) -> Result<Seq> {
        let closed = || Error::new(Reason::Closed, "the store was closed");
        let mut head = self.shared.events.subscribe();
        let reached = head.wait_for(|head| head.is_none_or(|head| head > after)).await.map_err(|_| closed())?;
        (*reached).ok_or_else(closed)
    }
}
