//! The model passes the whole suite.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend_api::{Backend, Micros};
use conformance::{Fixture, ManualClock, Model, Options};

const OPTIONS: Options =
    Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

#[derive(Default)]
struct ModelFixture {
    clock: Arc<ManualClock>,
    model: Mutex<Option<Arc<Model>>>,
}

#[async_trait]
impl Fixture for ModelFixture {
    fn options(&self) -> Options {
        OPTIONS
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        let model = Arc::new(Model::new(OPTIONS, self.clock.clone()));
        *self.model.lock().unwrap() = Some(model.clone());
        model
    }

    async fn reopen(&self, _: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let mut model = self.model.lock().unwrap();
        let again = Arc::new(model.as_ref().unwrap().reopen());
        *model = Some(again.clone());
        again
    }
}

conformance::suite!(ModelFixture::default());
