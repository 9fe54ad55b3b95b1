//! The way of a write: queue, group, plan, one statement, commit.

mod flight;
mod fold;
mod group;
mod load;
mod overlay;
mod position;
mod queue;
mod save;
mod save_rows;
mod script;
mod wanted;
mod writer;

pub(crate) use load::Failed;
pub(crate) use position::{Opened, Position};
pub(crate) use queue::{Job, Queue};
pub(crate) use writer::Writer;
