//! All tests of the engine from outside, in one program: it is built and linked once.

mod common;
mod conformance;
mod faults;
mod foreign;
mod full_disk;
mod golden;
mod healing;
mod histories;
mod kills;
mod losses;
mod pipeline;
mod reads;
mod rebuild;
mod recovery;
mod repairing;
mod stale;
mod stepped_store;
mod sweeps;
mod tail;
