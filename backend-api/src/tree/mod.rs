//! Merkle search trees, the form in which an AT Protocol repository keeps its records
//! (<https://atproto.com/specs/repository>): read, walked, compared, checked and changed over any source of blocks.
//!
//! A key's layer is given by its hash, so a set of records has exactly one tree, and two trees that differ in a few
//! records share all nodes but a few. Everything here leans on that: a difference looks only at nodes that are not shared.
//!
//! Blocks may come from anybody. Whatever they hold, nothing here panics, recurses deeper than
//! [`LAYER_MAX`] + 1, or holds more than its documentation says. A fault is an error that names the node.

mod build;
mod cache;
mod changes;
mod check;
mod commit;
mod diff;
mod edit;
mod get;
mod key;
mod node;
mod place;
mod preorder;
mod proof;
mod source;
mod walk;

pub use build::build;
pub use changes::{Changes, RecordOp, changes};
pub use check::{Checked, check};
pub use commit::{AnyCommit, CommitBlock, CommitBlockV2};
pub use diff::{Diff, diff};
pub use edit::Edit;
pub use get::{Lookup, get};
pub use key::{Key, LAYER_MAX, common_prefix, layer};
pub use node::{Entry, NODE_BYTES_MAX, NODE_ENTRIES_MAX, Node};
pub use place::Place;
pub use proof::covering_nodes;
pub use source::{BlockMap, BlockSource};
pub use walk::{Nodes, Walk, nodes, walk};
