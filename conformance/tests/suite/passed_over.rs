//! A case whose store cannot be had.

use std::sync::Arc;

use async_trait::async_trait;
use backend_api::{Backend, Micros};
use conformance::{Fixture, Options};

struct Missing;

#[async_trait]
impl Fixture for Missing {
    fn is_available(&self) -> bool {
        false
    }

    fn options(&self) -> Options {
        Options { history_window_micros: 1, event_retention_micros: 1 }
    }

    fn set_time(&self, _: Micros) {}

    async fn open(&self) -> Arc<dyn Backend> {
        panic!("there is nothing to open");
    }

    async fn reopen(&self, _: Arc<dyn Backend>) -> Arc<dyn Backend> {
        panic!("there is nothing to open");
    }
}

#[test]
fn a_case_is_passed_over_without_what_its_store_needs() {
    conformance::run(conformance::CASES[0].name, Missing);
}
