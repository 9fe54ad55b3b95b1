//! Everything about a mutation that can be checked without reading the store: done in the caller's thread, in parallel.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::account::AccountStatus;
use crate::cid::{Cid, Codec};
use crate::error::{Error, Reason, Result};
use crate::ids::Did;
use crate::limits;
use crate::mutation::{FinishImport, ImportTree, Mutation, Op, RecordOp, RepoCommit};
use crate::number::Micros;
use crate::repo::Head;
use crate::row::{Expect, Row, RowKey};
use crate::tree::CommitBlock;

/// A mutation that passed [`Checked::new`]: within the limits, every block hashed against its CID, every commit block
/// read. What remains to be decided depends on the stored state.
#[derive(Debug, Clone)]
pub struct Checked {
    mutation: Mutation,
    digest: u64,
    ops: Vec<u8>,
    /// The supplied blocks by CID, sorted. Few, mostly: faster than hashing, and bounded for many.
    supplied: Vec<(Cid, usize)>,
}

impl Checked {
    /// Checks a mutation. Costs one SHA-256 over those of its blocks whose CIDs are [claimed](crate::Block::claimed).
    ///
    /// # Errors
    /// Reasons of kind [`Invalid`](crate::Kind::Invalid), [`Limit`](crate::Kind::Limit), or
    /// [`Reason::RevNotIncreasing`]; the detail names the field.
    pub fn new(mutation: Mutation) -> Result<Self> {
        shape(&mutation)?;
        for block in &mutation.blocks {
            if block.cid().codec() != Codec::DagCbor {
                let detail = format!("blocks: {} is not the CID of a repository block (dag-cbor)", block.cid());
                return Err(Error::new(Reason::BadCid, detail));
            }
            if !block.is_sound() {
                let detail = format!("blocks: the bytes supplied for {} hash to another CID", block.cid());
                return Err(Error::new(Reason::HashMismatch, detail));
            }
        }
        let checked = Self::trusted(mutation)?;
        at_most("bytes of the operations", checked.ops.len(), limits::MUTATION_OPS_BYTES_MAX)?;
        for (i, op) in checked.mutation.ops.iter().enumerate() {
            checked.op(op).map_err(|e| e.context(format!("ops[{i}]")))?;
        }
        Ok(checked)
    }

    /// Wraps a mutation that passed [`Checked::new`] before, when it was first taken, and that its log vouches for.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] if a CID is supplied twice.
    pub fn trusted(mutation: Mutation) -> Result<Self> {
        let mut supplied: Vec<(Cid, usize)> = mutation.blocks.iter().enumerate().map(|(i, b)| (b.cid(), i)).collect();
        supplied.sort_unstable();
        if let Some(pair) = supplied.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(invalid(format!("blocks: {} is supplied twice", pair[0].0)));
        }
        let ops = postcard::to_allocvec(&mutation.ops).expect("plain structs always serialize into memory");
        Ok(Self { digest: digest(&mutation, &ops), mutation, ops, supplied })
    }

    /// The mutation.
    #[must_use]
    pub const fn mutation(&self) -> &Mutation {
        &self.mutation
    }

    /// The mutation.
    #[must_use]
    pub fn into_mutation(self) -> Mutation {
        self.mutation
    }

    /// Tells a retry from another mutation under the same idempotency key.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The operations in postcard's encoding: made here, in parallel, once for the digest and for whoever logs them.
    #[must_use]
    pub fn encoded_ops(&self) -> &[u8] {
        &self.ops
    }

    /// Bytes that the mutation holds: its operations in their encoded form, and its blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ops.len() + self.mutation.blocks.iter().map(|block| block.bytes().len()).sum::<usize>()
    }

    /// The index in the mutation's blocks of a supplied block.
    #[must_use]
    pub fn supplied(&self, cid: &Cid) -> Option<usize> {
        let at = self.supplied.binary_search_by_key(cid, |(cid, _)| *cid).ok()?;
        Some(self.supplied[at].1)
    }

    /// The length of a supplied block.
    #[must_use]
    pub fn supplied_len(&self, index: usize) -> u32 {
        self.mutation.blocks[index].bytes().len() as u32
    }

    fn op(&self, op: &Op) -> Result<()> {
        match op {
            Op::CreateAccount(a) => {
                password_hash(a.password_hash.as_deref())?;
                if !matches!(a.status, AccountStatus::Active | AccountStatus::Deactivated) {
                    return Err(invalid("status: a new account is active or deactivated"));
                }
                Ok(())
            }
            Op::UpdateAccount(p) => {
                password_hash(p.password_hash.as_ref().and_then(|h| h.as_deref()))?;
                time("email_confirmed_at", p.email_confirmed_at.flatten())
            }
            Op::SetStatus(AccountStatus::Deleted) => Err(invalid("status: an account is deleted by DeleteAccount")),
            Op::Commit(commit) => self.commit(commit),
            Op::ImportTree(step) => self.import_tree(step),
            Op::FinishImport(finish) => self.finish_import(finish),
            Op::PutBlob { mime, bytes, .. } => {
                at_most("mime", mime.len(), limits::MIME_BYTES_MAX)?;
                no_zero_byte("mime", mime)?;
                at_most_u64("bytes", *bytes, limits::BLOB_BYTES_MAX)
            }
            Op::PutRow { row, expect } => check_row(&self.mutation.did, row).and_then(|()| check_expect(expect)),
            Op::DeleteRow { key, expect } => check_row_key(key).and_then(|()| check_expect(expect)),
            Op::TakeRow(key) => check_row_key(key),
            Op::SetStatus(_)
            | Op::DeleteAccount
            | Op::BeginImport
            | Op::ImportBlocks { .. }
            | Op::AbandonImport { .. }
            | Op::DeleteBlob(_)
            | Op::Emit(_)
            | Op::Purge => Ok(()),
        }
    }

    fn commit(&self, commit: &RepoCommit) -> Result<()> {
        at_most("records", commit.records.len(), limits::RECORD_OPS_MAX)?;
        at_most("added", commit.added.len(), limits::NODES_MAX)?;
        at_most("removed", commit.removed.len(), limits::NODES_MAX)?;
        let added = distinct("added", &commit.added)?;
        let removed = distinct("removed", &commit.removed)?;
        if let Some(both) = commit.added.iter().find(|cid| removed.contains(cid)) {
            return Err(invalid(format!("added: {both} stands in removed too")));
        }
        if !added.contains(&commit.head.cid) {
            return Err(invalid("added: the new commit block is missing"));
        }
        match &commit.expected {
            Some(head) => {
                rev_increases(head, &commit.head)?;
                if !removed.contains(&head.cid) {
                    return Err(invalid("removed: the old commit block is missing"));
                }
            }
            None if commit.removed.is_empty() => {}
            None => return Err(invalid("removed: a first commit removes nothing")),
        }
        self.record_ops(&commit.records)?;
        self.commit_block(&commit.head, &commit.data)?;
        match &commit.announce {
            Some(blocks) => self.announced(commit, blocks),
            None => Ok(()),
        }
    }

    fn announced(&self, commit: &RepoCommit, blocks: &[Cid]) -> Result<()> {
        at_most("records of an announced commit", commit.records.len(), limits::COMMIT_OPS_MAX)?;
        let carried = distinct("announce", blocks)?;
        let mut car_bytes = crate::car::header(commit.head.cid).len() + self.car_entry_bytes(&commit.head.cid)?;
        for cid in blocks {
            car_bytes += self.car_entry_bytes(cid)?;
        }
        at_most("bytes of the event's blocks", car_bytes, limits::COMMIT_BLOCKS_BYTES_MAX)?;
        if carried.contains(&commit.head.cid) {
            return Err(invalid("announce: the commit block comes first by itself"));
        }
        // A consumer checks the new tree from its nodes alone.
        if let Some(node) = commit.added.iter().find(|cid| **cid != commit.head.cid && !carried.contains(cid)) {
            return Err(invalid(format!("announce: the added node {node} is not carried")));
        }
        // Sync 1.1: a record is carried even if its CID was seen before.
        for op in &commit.records {
            if let Some(cid) = op.new.filter(|cid| !carried.contains(cid)) {
                return Err(invalid(format!("announce: record {} ({cid}) is not carried", op.path)));
            }
        }
        Ok(())
    }

    fn car_entry_bytes(&self, cid: &Cid) -> Result<usize> {
        match self.supplied(cid) {
            Some(i) => Ok(crate::car::block_size(self.mutation.blocks[i].bytes().len())),
            None => Err(Error::new(Reason::BlockMissing, format!("announce: {cid} is not supplied"))),
        }
    }

    fn import_tree(&self, step: &ImportTree) -> Result<()> {
        at_most("records", step.records.len(), limits::RECORD_OPS_MAX)?;
        at_most("nodes", step.nodes.len(), limits::NODES_MAX)?;
        distinct("nodes", &step.nodes)?;
        self.record_ops(&step.records)?;
        match step.records.iter().find(|op| op.old.is_some()) {
            Some(op) => Err(invalid(format!("records: {} expects an old record in an import", op.path))),
            None => Ok(()),
        }
    }

    fn finish_import(&self, finish: &FinishImport) -> Result<()> {
        if let Some(expected) = &finish.expected {
            rev_increases(expected, &finish.head)?;
        }
        self.commit_block(&finish.head, &finish.data)
    }

    fn record_ops(&self, ops: &[RecordOp]) -> Result<()> {
        let mut paths = HashSet::with_capacity(ops.len());
        for op in ops {
            self.record_op(op)?;
            if !paths.insert(op.path.as_str()) {
                return Err(invalid(format!("records: {} stands twice", op.path)));
            }
        }
        Ok(())
    }

    fn record_op(&self, op: &RecordOp) -> Result<()> {
        if op.old.is_none() && op.new.is_none() {
            return Err(invalid(format!("records: {} has neither an old nor a new CID", op.path)));
        }
        at_most("blobs of a record", op.blobs.len(), limits::RECORD_BLOBS_MAX)?;
        at_most("links of a record", op.links.len(), limits::RECORD_LINKS_MAX)?;
        distinct("blobs of a record", &op.blobs)?;
        distinct("links of a record", &op.links)?;
        for link in &op.links {
            at_most("target of a link", link.target.len(), limits::LINK_TARGET_BYTES_MAX)?;
            at_most("field of a link", link.field.len(), limits::ROW_KEY_BYTES_MAX)?;
            if link.field.is_empty() || link.field.contains('\0') || link.target.contains('\0') {
                return Err(invalid("links: a field is empty, or a field or target has a zero byte"));
            }
        }
        if op.new.is_none() && !(op.blobs.is_empty() && op.links.is_empty()) {
            return Err(invalid(format!("records: {} is deleted and has blobs or links", op.path)));
        }
        match op.new.and_then(|cid| self.supplied(&cid)) {
            Some(i) => at_most("record", self.mutation.blocks[i].bytes().len(), limits::RECORD_BYTES_MAX),
            None => Ok(()),
        }
    }

    fn commit_block(&self, head: &Head, data: &Cid) -> Result<()> {
        let Some(i) = self.supplied(&head.cid) else {
            return Err(Error::new(Reason::BlockMissing, format!("head: commit block {} is not supplied", head.cid)));
        };
        let block = CommitBlock::decode(self.mutation.blocks[i].bytes())?;
        let field = if block.version != 3 {
            "version"
        } else if block.did != self.mutation.did {
            "did"
        } else if block.rev != head.rev {
            "rev"
        } else if block.data != *data {
            "data"
        } else {
            return Ok(());
        };
        Err(Error::new(Reason::CommitMismatch, format!("head: the commit block {} has another {field}", head.cid)))
    }
}

/// Bounds that need no look into the operations.
fn shape(mutation: &Mutation) -> Result<()> {
    if mutation.ops.is_empty() {
        return Err(invalid("ops: a mutation has at least one operation"));
    }
    at_most("ops", mutation.ops.len(), limits::MUTATION_OPS_MAX)?;
    at_most("blocks", mutation.blocks.len(), limits::MUTATION_BLOCKS_MAX)?;
    let mut total = 0;
    for block in &mutation.blocks {
        at_most("bytes of a block", block.bytes().len(), limits::BLOCK_BYTES_MAX)?;
        total += block.bytes().len();
    }
    at_most("bytes of all blocks", total, limits::MUTATION_BLOCK_BYTES_MAX)?;
    let count = |test: fn(&Op) -> bool| mutation.ops.iter().filter(|op| test(op)).count();
    if count(|op| matches!(op, Op::Commit(_) | Op::FinishImport(_))) > 1 {
        return Err(invalid("ops: more than one operation sets the repo's head"));
    }
    // A generation is named by its mutation's position, so one mutation begins one at the most.
    if count(|op| matches!(op, Op::BeginImport) || matches!(op, Op::Commit(c) if c.expected.is_none())) > 1 {
        return Err(invalid("ops: more than one operation begins a generation of the repo"));
    }
    if count(|op| matches!(op, Op::ImportTree(_))) > 1 {
        return Err(invalid("ops: more than one ImportTree"));
    }
    if count(|op| matches!(op, Op::CreateAccount(_) | Op::DeleteAccount)) > 1 {
        return Err(invalid("ops: more than one operation creates or deletes the account"));
    }
    Ok(())
}

fn check_row(did: &Did, row: &Row) -> Result<()> {
    check_row_key(&row.key)?;
    at_most("unique values of a row", row.unique.len(), limits::ROW_INDEXES_MAX)?;
    at_most("look-up values of a row", row.lookup.len(), limits::ROW_INDEXES_MAX)?;
    for value in row.unique.iter().chain(&row.lookup) {
        at_most("index value", value.len(), limits::ROW_KEY_BYTES_MAX)?;
    }
    at_most("body", row.body.len(), limits::ROW_BODY_BYTES_MAX)?;
    time("expires_at", row.expires_at)?;
    if row.owner.as_ref().is_some_and(|owner| owner != did) {
        return Err(invalid("owner: not the mutation's DID"));
    }
    Ok(())
}

fn check_row_key(key: &RowKey) -> Result<()> {
    if key.key.is_empty() {
        return Err(invalid("key: a row's key has at least one byte"));
    }
    at_most("key", key.key.len(), limits::ROW_KEY_BYTES_MAX)
}

fn check_expect(expect: &Expect) -> Result<()> {
    match expect {
        Expect::Body(body) => at_most("expected body", body.len(), limits::ROW_BODY_BYTES_MAX),
        Expect::Any | Expect::Absent => Ok(()),
    }
}

fn password_hash(hash: Option<&str>) -> Result<()> {
    let hash = hash.unwrap_or_default();
    at_most("password_hash", hash.len(), limits::PASSWORD_HASH_BYTES_MAX)?;
    no_zero_byte("password_hash", hash)
}

fn time(field: &str, at: Option<Micros>) -> Result<()> {
    at_most_u64(field, at.unwrap_or_default().0, limits::TIME_MICROS_MAX)
}

/// SQL text has no zero byte.
fn no_zero_byte(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') { Err(invalid(format!("{field}: has a zero byte"))) } else { Ok(()) }
}

fn rev_increases(expected: &Head, head: &Head) -> Result<()> {
    if head.rev > expected.rev {
        return Ok(());
    }
    let detail = format!("head: rev {} is not after {}", head.rev, expected.rev);
    Err(Error::new(Reason::RevNotIncreasing, detail))
}

/// Items that were found to be different, sorted.
struct Distinct<'a, T>(Vec<&'a T>);

impl<T: Ord> Distinct<'_, T> {
    fn contains(&self, item: &T) -> bool {
        self.0.binary_search(&item).is_ok()
    }
}

fn distinct<'a, T: Ord>(field: &str, items: &'a [T]) -> Result<Distinct<'a, T>> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).all(|pair| pair[0] != pair[1]) {
        Ok(Distinct(sorted))
    } else {
        Err(invalid(format!("{field}: an entry stands twice")))
    }
}

fn at_most(field: &str, value: usize, max: usize) -> Result<()> {
    at_most_u64(field, value as u64, max as u64)
}

fn at_most_u64(field: &str, value: u64, max: u64) -> Result<()> {
    if value <= max {
        return Ok(());
    }
    Err(Error::new(Reason::TooLarge, format!("{field}: {value} is more than {max}")))
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Reason::BadRequest, detail)
}

/// The first eight bytes of a SHA-256 over DID and operations, encoded, and the blocks' CIDs, which stand for their
/// bytes. The idempotency key is left out.
fn digest(mutation: &Mutation, ops: &[u8]) -> u64 {
    let mut hash = Sha256::new();
    let did = postcard::to_allocvec(&mutation.did).expect("plain structs always serialize into memory");
    hash.update(did);
    hash.update(ops);
    for block in &mutation.blocks {
        hash.update(block.cid().to_key());
    }
    let hash = hash.finalize();
    u64::from_be_bytes(hash[..8].try_into().expect("a digest has 32 bytes"))
}
