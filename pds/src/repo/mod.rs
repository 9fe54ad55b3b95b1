//! Repositories: records from JSON, trees, signed commits, CAR files.
//!
//! A write goes `record` (what is said) -> `tree` (the new tree, by jacquard-repo's `Mst`) -> `commit` (signed, with all
//! that the store and the firehose want to know) -> `writer` (taken by the store, or tried again on a newer head).

mod blocks;
pub mod car;
mod commit;
pub mod data;
pub mod json;
mod links;
pub mod record;
#[cfg(test)]
mod testing;
pub mod tids;
mod tree;
pub mod turns;
pub mod writer;

pub use blocks::RepoBlocks;
pub use commit::genesis;
pub use links::links;
