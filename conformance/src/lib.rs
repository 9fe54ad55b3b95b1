//! The suite that certifies a storage backend, the in-memory model that defines right answers, and random histories that
//! compare two backends.
//!
//! # To certify a backend
//! Write a [`Fixture`] that opens an empty store with a clock that can be set, and let [`suite!`] make a test of each case:
//!
//! ```
//! use std::sync::Arc;
//!
//! use backend_api::{Backend, Micros};
//! use conformance::{Fixture, ManualClock, Model, Options};
//!
//! const OPTIONS: Options = Options { history_window_micros: 1_000_000, event_retention_micros: 2_000_000 };
//!
//! #[derive(Default)]
//! struct MyFixture {
//!     clock: Arc<ManualClock>,
//! # model: std::sync::Mutex<Option<Arc<Model>>>,
//! }
//!
//! #[async_trait::async_trait]
//! impl Fixture for MyFixture {
//!     fn options(&self) -> Options {
//!         OPTIONS
//!     }
//!     fn set_time(&self, now: Micros) {
//!         self.clock.set(now);
//!     }
//!     async fn open(&self) -> Arc<dyn Backend> {
//!         // A new directory, or a new database.
//! #       let model = Arc::new(Model::new(OPTIONS, self.clock.clone()));
//! #       *self.model.lock().unwrap() = Some(model.clone());
//! #       model
//!     }
//!     async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
//!         backend.close().await.expect("it closes");
//!         // The same directory again.
//! #       let again = Arc::new(self.model.lock().unwrap().as_ref().unwrap().reopen());
//! #       *self.model.lock().unwrap() = Some(again.clone());
//! #       again
//!     }
//! }
//!
//! // In tests/conformance.rs; the expression is evaluated for each case.
//! conformance::suite!(MyFixture::default());
//!
//! // Random histories against the model, which must answer alike in everything.
//! fn histories() {
//!     for seed in 1..=20 {
//!         conformance::history::differential(|| conformance::ModelFixture::new(OPTIONS), MyFixture::default, seed, 300);
//!     }
//! }
//! ```
//!
//! After each case the store must find itself sound (`verify`), and a snapshot taken after a reopen must equal the one
//! before it. A case fails by a panic or by an answer that it did not expect; the message has its place in the suite.
//!
//! # Rooms
//! - `model/` is the reference: the planner's effects over ordered maps.
//! - `scene/` builds names, rows and repositories with real trees.
//! - `cases/` has files for each facet of the trait, and for what goes across them. The list of all cases is in `list.rs`,
//!   once: what is not listed does not compile. A test holds the list against the promises in the trait's documentation.
//! - `history/` makes random histories from a seed, runs them on two backends and shrinks what differs.

#[doc(hidden)]
pub mod cases;
mod clock;
mod context;
pub mod digest;
mod fixture;
pub mod history;
mod list;
mod model;
mod outcome;
mod registry;
pub mod scene;

pub use clock::{Clock, ManualClock};
pub use context::{Context, START, create_account, snapshot};
pub use fixture::{Fixture, Options};
pub use model::{Model, ModelFixture};
pub use outcome::{Failure, Outcome};
pub use registry::{CASES, Case, Running, run};
