//! The standard commit: 2,000 repos; five new blocks of 400 (record), 1,100, 1,000, 900 (tree nodes) and 250 (commit)
//! bytes; four released; one record operation; one `#commit` event with those blocks.
//!
//! The commit block is a real one. Of the tree nodes only the sizes are: no engine looks into them.

use backend_api::mutation::{NewAccount, RecordOp, RepoCommit};
use backend_api::tree::CommitBlock;
use backend_api::{AccountStatus, Block, Cid, Did, Head, IdempotencyKey, Mutation, Op, RecordPath, Result, Tid};
use bytes::Bytes;

/// Repos that the load is spread over.
pub const REPOS: usize = 2_000;

const RECORD_BYTES: usize = 400;
const NODE_BYTES: [usize; 3] = [1_100, 1_000, 900];
const COMMIT_BYTES: usize = 250;

/// Microseconds since 1970 of the first rev: any fixed time.
const FIRST_REV_MICROS: u64 = 1_700_000_000_000_000;

/// One repo, and what its next commit needs to know.
pub struct Repo {
    did: Did,
    head: Option<Head>,
    nodes: [Cid; 3],
    commits: u64,
    random: Random,
}

impl Repo {
    /// The repo of a number.
    ///
    /// # Errors
    /// None: the DID is well-formed.
    pub fn new(number: usize) -> Result<Self> {
        // As directories give them out: no two begin alike.
        let did = format!("did:plc:{}", Random::new(!(number as u64)).letters(24)).parse()?;
        let nodes = [Cid::of_block(&[]); 3];
        Ok(Self { did, head: None, nodes, commits: 0, random: Random::new(number as u64) })
    }

    /// All repos.
    ///
    /// # Errors
    /// None.
    pub fn all() -> Result<Vec<Self>> {
        (0..REPOS).map(Self::new).collect()
    }

    /// Whose it is.
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// What creates the account and the repo, with a first commit of the standard sizes.
    ///
    /// # Errors
    /// None.
    pub fn first(&mut self) -> Result<Mutation> {
        let account = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Active };
        let mut mutation = self.next()?;
        mutation.ops.insert(0, Op::CreateAccount(account));
        Ok(mutation)
    }

    /// The next standard commit.
    ///
    /// # Errors
    /// None: what it is made of is well-formed.
    pub fn next(&mut self) -> Result<Mutation> {
        let rev = Tid::new(FIRST_REV_MICROS + self.commits, 0);
        self.commits += 1;
        let record = self.block(RECORD_BYTES);
        let nodes = NODE_BYTES.map(|len| self.block(len));
        let data = nodes[0].cid();
        let commit = Block::new(self.commit_block(rev, data).into());
        let head = Head { cid: commit.cid(), rev };
        let added = nodes.iter().map(|node| node.cid()).chain([head.cid]).collect();
        let removed = self.head.iter().flat_map(|old| self.nodes.into_iter().chain([old.cid])).collect();
        let path: RecordPath = format!("app.bsky.feed.post/{rev}").parse()?;
        let op = RepoCommit {
            expected: self.head,
            head,
            data,
            added,
            removed,
            records: vec![RecordOp { path, old: None, new: Some(record.cid()), blobs: vec![], links: vec![] }],
            announce: Some(nodes.iter().map(|node| node.cid()).chain([record.cid()]).collect()),
        };
        self.head = Some(head);
        self.nodes = nodes.each_ref().map(|node| node.cid());
        let mut key = [0; 16];
        self.random.fill(&mut key);
        let blocks = nodes.into_iter().chain([record, commit]).collect();
        Ok(Mutation { did: self.did.clone(), key: IdempotencyKey(key), ops: vec![Op::Commit(Box::new(op))], blocks })
    }

    /// What the repo refers to: root and other nodes, and the commit.
    pub fn live(&self) -> Vec<Cid> {
        self.nodes.into_iter().chain(self.head.map(|head| head.cid)).collect()
    }

    fn block(&mut self, len: usize) -> Block {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        Block::new(Bytes::from(bytes))
    }

    /// A commit whose signature is as long as it takes.
    fn commit_block(&mut self, rev: Tid, data: Cid) -> Vec<u8> {
        let sig = vec![0; 100];
        let mut commit = CommitBlock { did: self.did.clone(), version: 3, data, rev, prev: None, sig };
        let missing = COMMIT_BYTES - commit.encode().len();
        commit.sig.resize(100 + missing, 0);
        self.random.fill(&mut commit.sig);
        commit.encode()
    }
}

/// A number in `width` letters of the alphabet that DIDs are written in.
pub fn letters(mut number: u64, width: usize) -> String {
    let mut out = vec![b'a'; width];
    for digit in out.iter_mut().rev() {
        *digit = b'a' + (number % 26) as u8;
        number /= 26;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Numbers that look random and come again with the same seed (SplitMix64).
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small against 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// So many letters of the alphabet that DIDs are written in.
    pub fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use backend_api::Checked;

    use super::*;

    #[test]
    fn a_standard_commit_is_what_the_standard_says() {
        let mut repo = Repo::new(7).unwrap();
        Checked::new(repo.first().unwrap()).unwrap();
        let next = repo.next().unwrap();
        let mut sizes: Vec<usize> = next.blocks.iter().map(|block| block.bytes().len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [250, 400, 900, 1_000, 1_100]);
        let checked = Checked::new(next).unwrap();
        let [Op::Commit(commit)] = checked.mutation().ops.as_slice() else { panic!("one commit") };
        assert_eq!((commit.removed.len(), commit.records.len()), (4, 1));
        assert_eq!(commit.announce.as_ref().map(Vec::len), Some(4));
    }
}
