//! Repositories: heads, records, blocks, history.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cid::Cid;
use crate::ids::{Did, Nsid, RecordPath, Tid};
use crate::number::{Micros, Pos, RepoId, Seq};

/// A block's bytes with the CID that they are said to have.
///
/// Two are equal if CID and bytes are, however they came together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Block {
    cid: Cid,
    bytes: Bytes,
    /// The CID was computed from these very bytes: neither changes any more.
    #[serde(skip)]
    is_hashed: bool,
}

impl Block {
    /// A repository block, its CID computed.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { cid: Cid::of_block(&bytes), bytes, is_hashed: true }
    }

    /// A block as somebody says that it is. Whether the bytes hash to the CID shows in [`Checked::new`](crate::Checked::new).
    #[must_use]
    pub const fn claimed(cid: Cid, bytes: Bytes) -> Self {
        Self { cid, bytes, is_hashed: false }
    }

    /// The CID.
    #[must_use]
    pub const fn cid(&self) -> Cid {
        self.cid
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// CID and bytes.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.bytes)
    }

    /// True if the bytes hash to the CID. Hashes them, unless it is known.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.is_hashed || self.cid.matches(&self.bytes)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        (&self.cid, &self.bytes) == (&other.cid, &other.bytes)
    }
}

impl Eq for Block {}

/// A signed commit's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// CID of the commit block.
    pub cid: Cid,
    /// Its rev.
    pub rev: Tid,
}

/// What is counted per repo. References, not distinct blocks: two records with one content count twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Records.
    pub records: u64,
    /// References to blocks: tree nodes, the commit block, one for each record.
    pub refs: u64,
    /// Bytes of the blocks behind these references.
    pub bytes: u64,
}

/// One generation of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// Its identity.
    pub id: RepoId,
    /// Whose it is.
    pub did: Did,
    /// The current commit; `None` only while an import fills the generation.
    pub head: Option<Head>,
    /// Root of its tree.
    pub data: Option<Cid>,
    /// Counters.
    pub counters: Counters,
}

/// A commit that the history remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRow {
    /// CID of the commit block.
    pub cid: Cid,
    /// Root of the tree.
    pub data: Cid,
    /// The mutation that wrote it.
    pub pos: Pos,
    /// When.
    pub at: Micros,
}

/// A past or present state of a repo, as [`Repos::repo`](crate::Repos::repo) answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoState {
    /// The generation it belongs to.
    pub id: RepoId,
    /// The commit.
    pub head: Head,
    /// Root of the tree.
    pub data: Cid,
    /// When it was committed.
    pub at: Micros,
    /// Counters of the current state, also when a past one was asked for.
    pub counters: Counters,
}

/// Which state of a repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The current one.
    Head,
    /// The one that a rev names.
    Rev(Tid),
    /// The newest one not after a time.
    Time(Micros),
}

/// A link that a record makes, to be found from its target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// Where in the record, such as `subject`.
    pub field: Box<str>,
    /// The DID or AT-URI that it points to.
    pub target: Box<str>,
}

/// What is stored of a record besides its block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRow {
    /// CID of the record block.
    pub cid: Cid,
    /// The mutation that wrote it.
    pub pos: Pos,
    /// Blobs that it refers to.
    pub blobs: Vec<Cid>,
    /// Links that it makes.
    pub links: Vec<Link>,
}

/// A record with its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub path: RecordPath,
    /// CID of the block.
    pub cid: Cid,
    /// The block.
    pub bytes: Bytes,
}

/// What a reference count knows of a block in one repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRefs {
    /// References that the repo's current state holds. A block with none is history, or part of an unfinished import.
    pub refs: u64,
    /// Length in bytes.
    pub len: u32,
}

/// Which blocks of a repo a read may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// Those that the current state refers to.
    Live,
    /// Also those that a commit in the history window refers to.
    History,
    /// Those of the generation that an import fills.
    Import,
}

/// Which records of a collection, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordQuery {
    /// The collection.
    pub collection: Nsid,
    /// Start after this record key (exclusive), in the direction of the listing.
    pub after: Option<crate::ids::RecordKey>,
    /// Records at the most.
    pub limit: usize,
    /// Greatest record key first.
    pub reverse: bool,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items. Filters are applied before the limit: fewer items than the limit means the end.
    pub items: Vec<T>,
    /// The last item's key, to ask for the next page with; `None` exactly if no item follows.
    pub next: Option<C>,
}

/// A blob's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// CID of the content.
    pub cid: Cid,
    /// MIME type.
    pub mime: Box<str>,
    /// Length of the content in bytes.
    pub bytes: u64,
    /// When it was put.
    pub at: Micros,
}

/// What a mutation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its position.
    pub pos: Pos,
    /// When it was taken.
    pub at: Micros,
    /// The sequence number of its first event; meaningless when `events` is 0.
    pub first_seq: Seq,
    /// How many events it appended, numbered from `first_seq`.
    pub events: u32,
    /// The rows that its take-once operations took, in order.
    pub taken: Vec<crate::row::Row>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_says_of_a_block_is_looked_at() {
        let made = Block::new(Bytes::from_static(b"a block"));
        assert!(made.is_sound() && Block::claimed(made.cid(), made.bytes().clone()).is_sound());
        assert!(!Block::claimed(made.cid(), Bytes::from_static(b"another")).is_sound());
        // Whoever sends a block claims it, too.
        let mut sent = postcard::to_allocvec(&made).expect("it is encoded");
        let read = |sent: &[u8]| postcard::from_bytes::<Block>(sent).expect("it is decoded");
        assert_eq!(read(&sent), made);
        *sent.last_mut().expect("bytes") ^= 1;
        assert!(!read(&sent).is_sound());
    }
}
