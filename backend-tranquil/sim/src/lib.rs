//! The simulator of the embedded engine: README.md beside this crate has the design.

mod busy;
pub mod disk;
mod env;
pub mod invariants;
pub mod ledger;
pub mod mutants;
mod plan;
pub mod report;
mod rng;
pub mod runs;
pub mod shrink;
pub mod sweep;
mod trace;
pub mod watch;
pub mod world;

pub use plan::{Act, Plan, Setup};
pub use rng::Rng;
