//! What an intent frame and a maintenance frame hold.

use backend_api::{
    Block, Change, Checked, Cid, Did, Error, IdempotencyKey, Micros, Mutation, Op, Reason, RepoId, Result, RowKey,
    Stamp,
};
use serde::{Deserialize, Serialize};

use super::key::Space;

const VERSION: u8 = 1;

/// A mutation in the log: its numbers, its operations, and how many of the block frames before it are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The numbers.
    pub stamp: Stamp,
    /// Checksum of what it did to the metadata. A replay that does anything else is stopped.
    pub effects: u32,
    /// Block frames before it that are its own.
    pub blocks: u32,
    /// The generation that its commit went to; 0 if it has none.
    pub repo: RepoId,
    /// Events that it appended.
    pub events: u32,
    /// Whose data.
    pub did: Did,
    /// Its idempotency key.
    pub key: IdempotencyKey,
    /// Its operations.
    pub ops: Vec<Op>,
}

/// An intent up to its operations.
#[derive(Serialize)]
struct IntentRef<'a> {
    stamp: Stamp,
    effects: u32,
    blocks: u32,
    repo: RepoId,
    events: u32,
    did: &'a Did,
    key: &'a IdempotencyKey,
}

impl Intent {
    /// Appends the payload of a mutation's intent.
    pub fn append(out: &mut Vec<u8>, checked: &Checked, stamp: Stamp, effects: u32, repo: RepoId, events: u32) {
        let mutation = checked.mutation();
        let blocks = mutation.blocks.len() as u32;
        let intent = IntentRef { stamp, effects, blocks, repo, events, did: &mutation.did, key: &mutation.key };
        append(out, &intent);
        out.extend_from_slice(checked.encoded_ops());
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        decode(payload)
    }

    /// The change that it stands for, given its blocks.
    #[must_use]
    pub fn into_change(self, blocks: Vec<Block>) -> Change {
        let mutation = Mutation { did: self.did, key: self.key, ops: self.ops, blocks };
        Change { stamp: self.stamp, mutation }
    }
}

/// A maintenance step: exact, so that a replay repeats it without looking for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maintenance {
    /// When it was put together. No later mutation has an earlier time: what was forgotten because of its time stays so.
    pub at: Micros,
    /// Blocks to forget if they still have no reference, and were last released by that position.
    pub release: Vec<(RepoId, Cid, u64)>,
    /// Rows to forget if they still expire at that time.
    pub expire: Vec<(RowKey, Micros)>,
    /// Keys to put. The key of a block puts its place, which is one of the block frames before the step; its count stays.
    pub put: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys to delete. Keys of blocks are deleted whatever their count.
    pub delete: Vec<Vec<u8>>,
}

impl Maintenance {
    /// Block frames before the step that are its own.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.put.iter().filter(|(key, _)| key.first() == Some(&(Space::Block as u8))).count()
    }

    /// Appends the payload.
    pub fn append(&self, out: &mut Vec<u8>) {
        append(out, self);
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        decode(payload)
    }
}

fn append<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    out.push(VERSION);
    let taken = std::mem::take(out);
    *out = postcard::to_extend(value, taken).expect("plain structs always serialize into memory");
}

fn decode<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T> {
    let bad = |why: String| Error::new(Reason::DataCorrupt, format!("log frame: {why}"));
    match payload {
        [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(bad("bytes after the end".into())),
            Err(e) => Err(bad(e.to_string())),
        },
        [version, ..] => Err(bad(format!("version {version}, this program reads version {VERSION}"))),
        [] => Err(bad("no bytes".into())),
    }
}
