//! The metadata: a memtable over a key-value store, read as one.
//!
//! The commit log is the truth and the write-ahead log; what is here is derived from it (promise P7).

mod blocks;
mod drain;
mod effects;
mod fjall;
mod guard;
mod kept;
mod kv;
mod layers;
mod memtable;
mod rows;
mod scan;
mod snapshot;
mod state;

pub use drain::{run_bytes, run_of};
pub use effects::encode_effects;
pub use fjall::FjallKv;
pub use kv::{MetaKv, MetaSnapshot, NoSnapshot, Pairs};
pub use layers::Layers;
pub use memtable::{BlockChange, Memtable};
pub use scan::{Scan, scan};
pub use snapshot::{
    SnapshotPairs, check_snapshot, cover_snapshot, mark_of_snapshot, newest_snapshot, remove_old_snapshots,
    snapshot_beyond, write_snapshot,
};
