//! Merkle search trees.
mod commit;

pub use commit::CommitBlock;
