//! Commits of real trees, for stores that are verified afterwards.

use std::collections::BTreeMap;

use async_trait::async_trait;
use backend_api::cbor::Writer;
use backend_api::mutation::{NewAccount, RecordOp, RepoCommit};
use backend_api::tree::{self, BlockMap, BlockSource, CommitBlock, Edit, Key};
use backend_api::{
    AccountStatus, At, Backend, Block, Blocks, Cid, Did, Error, Head, Mutation, Op, Reason, RecordPath, Result, Tid,
};
use bytes::Bytes;

use super::standard::Random;
use crate::cli::work::RepoBlocks;
use crate::env::idempotency_key;

/// Records of a repo at the most, so that its tree stays small enough to be read whole after each kill.
const RECORDS_MAX: usize = 40;

/// One repo that one writer changes.
pub struct TreeRepo {
    did: Did,
    state: Option<(Head, Cid)>,
    records: BTreeMap<Key, Cid>,
}

/// A mutation, and the repo's state once it is taken.
pub struct Prepared {
    /// The mutation.
    pub mutation: Mutation,
    /// The commit.
    pub head: Head,
    data: Cid,
    record: Option<(Key, Option<Cid>)>,
}

impl TreeRepo {
    /// The repo of a DID as the store has it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(backend: &dyn Backend, did: Did) -> Result<Self> {
        let state = backend.repo(&did, At::Head).await?.map(|state| (state.head, state.data));
        let mut records = BTreeMap::new();
        if let Some((_, data)) = state {
            let source = RepoBlocks { backend, did: &did, which: Blocks::Live };
            let mut walk = tree::walk(source, data, None);
            while let Some((key, cid)) = walk.next().await? {
                records.insert(key, cid);
            }
        }
        Ok(Self { did, state, records })
    }

    /// Whose it is.
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// Its next commit: a record created, changed or deleted. `now_micros` is the time of the rev.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prepare(&self, backend: &dyn Backend, random: &mut Random, now_micros: u64) -> Result<Prepared> {
        let rev = match self.state {
            Some((head, _)) => Tid::next_after(head.rev, now_micros),
            None => Some(Tid::new(now_micros, 0)),
        };
        let rev = rev.ok_or_else(|| Error::new(Reason::BadTid, "no rev is left after the last one"))?;
        let (key, new) = self.choose(random, rev)?;
        let source = RepoBlocks { backend, did: &self.did, which: Blocks::Live };
        let mut edit = Edit::new(&source, self.state.map(|(_, data)| data)).await?;
        let old = match &new {
            Some(record) => edit.insert(key.clone(), record.cid()).await?,
            None => edit.remove(key.as_str()).await?,
        };
        let (data, fresh) = edit.finish();
        self.commit(&source, rev, data, fresh, (key, old, new)).await
    }

    async fn commit(
        &self,
        source: &RepoBlocks<'_>,
        rev: Tid,
        data: Cid,
        fresh: BlockMap,
        (key, old, new): (Key, Option<Cid>, Option<Block>),
    ) -> Result<Prepared> {
        let both = Both { fresh: &fresh, stored: source };
        let changes = tree::changes(&both, self.state.map(|(_, data)| data), data, usize::MAX).await?;
        let nodes: Vec<Block> = fresh.iter().map(|(cid, bytes)| Block::claimed(*cid, bytes.clone())).collect();
        let commit = CommitBlock { did: self.did.clone(), version: 3, data, rev, prev: None, sig: vec![7; 64] };
        let commit = Block::new(commit.encode().into());
        let head = Head { cid: commit.cid(), rev };
        let expected = self.state.map(|(head, _)| head);
        let path = RecordPath::try_from(&key)?;
        let cid = new.as_ref().map(|record| record.cid());
        let op = RepoCommit {
            expected,
            head,
            data,
            added: changes.created_nodes.into_iter().chain([head.cid]).collect(),
            removed: changes.deleted_nodes.into_iter().chain(expected.map(|head| head.cid)).collect(),
            records: vec![RecordOp { path, old, new: cid, blobs: vec![], links: vec![] }],
            announce: Some(nodes.iter().map(|node| node.cid()).chain(cid).collect()),
        };
        let mut ops = vec![Op::Commit(Box::new(op))];
        if expected.is_none() {
            ops.insert(0, Op::CreateAccount(new_account()));
        }
        let blocks = nodes.into_iter().chain(new).chain([commit]).collect();
        let mutation = Mutation { did: self.did.clone(), key: idempotency_key(), ops, blocks };
        Ok(Prepared { mutation, head, data, record: Some((key, cid)) })
    }

    /// Notes that a commit was taken.
    pub fn taken(&mut self, prepared: Prepared) {
        self.state = Some((prepared.head, prepared.data));
        match prepared.record {
            Some((key, Some(cid))) => {
                self.records.insert(key, cid);
            }
            Some((key, None)) => {
                self.records.remove(&key);
            }
            None => {}
        }
    }

    /// A key, and the record that is to stand there.
    fn choose(&self, random: &mut Random, rev: Tid) -> Result<(Key, Option<Block>)> {
        let count = self.records.len();
        let existing = || self.records.keys().nth(random_index(rev, count)).cloned();
        let create = count < RECORDS_MAX && random.below(10) < 6;
        let known = if create { None } else { existing() };
        let deletes = known.is_some() && (count >= RECORDS_MAX || random.below(2) == 0);
        let key = match known {
            Some(key) => key,
            None => Key::parse(&format!("app.bsky.feed.post/{rev}"))?,
        };
        Ok((key, (!deletes).then(|| record(random))))
    }
}

fn random_index(rev: Tid, count: usize) -> usize {
    Random::new(rev.as_u64()).below(count.max(1) as u64) as usize
}

const fn new_account() -> NewAccount {
    NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Active }
}

fn record(random: &mut Random) -> Block {
    let text = format!("{:016x}", random.next()).repeat(8);
    let mut w = Writer::with_capacity(192);
    w.map(2).text("text").text(&text).text("$type").text("app.bsky.feed.post");
    Block::new(Bytes::from(w.into_bytes()))
}

/// New nodes, and those that are stored.
struct Both<'a> {
    fresh: &'a BlockMap,
    stored: &'a RepoBlocks<'a>,
}

#[async_trait]
impl BlockSource for Both<'_> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        let mut blocks: Vec<Option<Bytes>> = cids.iter().map(|cid| self.fresh.get(cid).cloned()).collect();
        let absent: Vec<Cid> = cids.iter().zip(&blocks).filter(|(_, b)| b.is_none()).map(|(cid, _)| *cid).collect();
        if absent.is_empty() {
            return Ok(blocks);
        }
        let mut stored = self.stored.blocks(&absent).await?.into_iter();
        for block in blocks.iter_mut().filter(|block| block.is_none()) {
            *block = stored.next().flatten();
        }
        Ok(blocks)
    }
}
