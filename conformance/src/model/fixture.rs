//! The model as a store to test.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backend_api::{Backend, Micros};

use super::Model;
use crate::clock::ManualClock;
use crate::fixture::{Fixture, Options};

/// The model under a clock that is set by hand.
pub struct ModelFixture {
    clock: Arc<ManualClock>,
    model: Mutex<Arc<Model>>,
    options: Options,
}

impl ModelFixture {
    /// An empty model.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::default());
        let model = Mutex::new(Arc::new(Model::new(options, clock.clone())));
        Self { clock, model, options }
    }
}

#[async_trait]
impl Fixture for ModelFixture {
    fn options(&self) -> Options {
        self.options
    }

    fn set_time(&self, now: Micros) {
        self.clock.set(now);
    }

    async fn open(&self) -> Arc<dyn Backend> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn reopen(&self, _: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        *model = Arc::new(model.reopen());
        model.clone()
    }
}
