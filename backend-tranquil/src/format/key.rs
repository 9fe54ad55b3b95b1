//! Keys of the metadata: one ordered space, its parts told apart by the first byte.
//!
//! Hand-encoded, big-endian, so that the order of bytes is the order of meaning. A part that may have any length is last,
//! or ended by a zero byte that it cannot hold, or has its length before it.

use backend_api::{
    AccountId, Cid, Did, Email, Error, Handle, IdempotencyKey, Link, Micros, Reason, RecordPath, RepoId, Result,
    RowKey, RowKind, Sweep, Tid,
};

/// A key.
pub type Key = Vec<u8>;

/// The parts of the key space. The order is that of a snapshot's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// The engine's own rows.
    Engine = 0x00,
    /// DID: account.
    Account = 0x10,
    /// Handle: DID.
    Handle = 0x11,
    /// Address: DID.
    Email = 0x12,
    /// Generation: repo.
    Repo = 0x20,
    /// Generation, CID: block.
    Block = 0x30,
    /// Generation, path: record.
    Record = 0x40,
    /// Generation, rev: commit.
    Commit = 0x41,
    /// Incarnation, CID: blob.
    Blob = 0x50,
    /// Generation, CID, path: a record refers to a blob.
    BlobUse = 0x51,
    /// Generation, collection, field, target, record key: a record makes a link.
    Link = 0x52,
    /// Kind, key: row.
    Row = 0x60,
    /// Kind, place, value: key of the row.
    RowUnique = 0x61,
    /// Kind, place, value, key: a row has a look-up value.
    RowLookup = 0x62,
    /// DID, kind, key: a row has an owner.
    RowOwner = 0x63,
    /// Time, kind, key: a row expires.
    RowExpiry = 0x64,
    /// DID, idempotency key: receipt.
    Receipt = 0x70,
    /// What, since when: a sweep.
    Sweep = 0x80,
}

/// The key of the [`Mark`](super::value::Mark): the smallest of all.
pub const MARK: &[u8] = &[Space::Engine as u8, 0];
/// The key of the [`ReleaseCursor`](super::value::ReleaseCursor).
pub const RELEASE: &[u8] = &[Space::Engine as u8, 1];
/// The key of the oldest event that is kept.
pub const EVENTS_OLDEST: &[u8] = &[Space::Engine as u8, 2];

fn start(space: Space, capacity: usize) -> Key {
    let mut key = Vec::with_capacity(1 + capacity);
    key.push(space as u8);
    key
}

fn key(space: Space, parts: &[&[u8]]) -> Key {
    let mut key = start(space, parts.iter().map(|p| p.len()).sum());
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// All keys of a space start with this.
#[must_use]
pub fn space(space: Space) -> Key {
    vec![space as u8]
}

/// All keys of a generation, or incarnation, in a space start with this.
#[must_use]
pub fn numbered(space: Space, id: u64) -> Key {
    key(space, &[&id.to_be_bytes()])
}

/// The least key that is above all keys with a prefix; `None` if there is none.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Key> {
    let end = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut next = prefix[..=end].to_vec();
    next[end] += 1;
    Some(next)
}

#[must_use]
pub fn account(did: &Did) -> Key {
    key(Space::Account, &[did.as_str().as_bytes()])
}

#[must_use]
pub fn handle(handle: &Handle) -> Key {
    key(Space::Handle, &[handle.as_str().as_bytes()])
}

#[must_use]
pub fn email(email: &Email) -> Key {
    key(Space::Email, &[email.as_str().as_bytes()])
}

#[must_use]
pub fn repo(repo: RepoId) -> Key {
    numbered(Space::Repo, repo.0)
}

#[must_use]
pub fn block(repo: RepoId, cid: &Cid) -> Key {
    let mut key = Vec::with_capacity(1 + 8 + Cid::KEY_BYTES);
    append_block(&mut key, repo, cid);
    key
}

/// Appends the key of a block.
pub fn append_block(out: &mut Vec<u8>, repo: RepoId, cid: &Cid) {
    out.push(Space::Block as u8);
    out.extend_from_slice(&repo.0.to_be_bytes());
    out.extend_from_slice(&cid.to_key());
}

#[must_use]
pub fn record(repo: RepoId, path: &RecordPath) -> Key {
    key(Space::Record, &[&repo.0.to_be_bytes(), path.as_str().as_bytes()])
}

/// All records of a collection start with this.
#[must_use]
pub fn collection(repo: RepoId, collection: &str) -> Key {
    key(Space::Record, &[&repo.0.to_be_bytes(), collection.as_bytes(), b"/"])
}

#[must_use]
pub fn commit(repo: RepoId, rev: Tid) -> Key {
    key(Space::Commit, &[&repo.0.to_be_bytes(), &rev.as_u64().to_be_bytes()])
}

#[must_use]
pub fn blob(account: AccountId, cid: &Cid) -> Key {
    key(Space::Blob, &[&account.0.to_be_bytes(), &cid.to_key()])
}

/// All uses of a blob start with this.
#[must_use]
pub fn blob_uses(repo: RepoId, cid: &Cid) -> Key {
    key(Space::BlobUse, &[&repo.0.to_be_bytes(), &cid.to_key()])
}

#[must_use]
pub fn blob_use(repo: RepoId, cid: &Cid, path: &RecordPath) -> Key {
    key(Space::BlobUse, &[&repo.0.to_be_bytes(), &cid.to_key(), path.as_str().as_bytes()])
}

/// All records of a collection that make a link start with this. Fields and targets hold no zero byte.
#[must_use]
pub fn links(repo: RepoId, collection: &str, link: &Link) -> Key {
    let parts: [&[u8]; 7] =
        [&repo.0.to_be_bytes(), collection.as_bytes(), &[0], link.field.as_bytes(), &[0], link.target.as_bytes(), &[0]];
    key(Space::Link, &parts)
}

#[must_use]
pub fn link(repo: RepoId, link: &Link, path: &RecordPath) -> Key {
    let mut key = links(repo, path.collection(), link);
    key.extend_from_slice(path.rkey().as_bytes());
    key
}

#[must_use]
pub fn row(row: &RowKey) -> Key {
    key(Space::Row, &[&[row.kind as u8], &row.key])
}

/// All rows of a kind whose key starts with some bytes start with this.
#[must_use]
pub fn rows(kind: RowKind, prefix: &[u8]) -> Key {
    key(Space::Row, &[&[kind as u8], prefix])
}

fn indexed(space: Space, kind: RowKind, index: u8, value: &[u8]) -> Key {
    key(space, &[&[kind as u8, index], &(value.len() as u16).to_be_bytes(), value])
}

#[must_use]
pub fn row_unique(kind: RowKind, index: u8, value: &[u8]) -> Key {
    indexed(Space::RowUnique, kind, index, value)
}

/// All rows with a look-up value start with this.
#[must_use]
pub fn row_lookups(kind: RowKind, index: u8, value: &[u8]) -> Key {
    indexed(Space::RowLookup, kind, index, value)
}

#[must_use]
pub fn row_lookup(index: u8, value: &[u8], row: &RowKey) -> Key {
    let mut key = row_lookups(row.kind, index, value);
    key.extend_from_slice(&row.key);
    key
}

/// All rows of an owner start with this.
#[must_use]
pub fn rows_owned(did: &Did) -> Key {
    key(Space::RowOwner, &[did.as_str().as_bytes(), &[0]])
}

#[must_use]
pub fn row_owner(did: &Did, row: &RowKey) -> Key {
    let mut key = rows_owned(did);
    key.push(row.kind as u8);
    key.extend_from_slice(&row.key);
    key
}

#[must_use]
pub fn row_expiry(at: Micros, row: &RowKey) -> Key {
    key(Space::RowExpiry, &[&at.0.to_be_bytes(), &[row.kind as u8], &row.key])
}

#[must_use]
pub fn receipt(did: &Did, idempotency: &IdempotencyKey) -> Key {
    key(Space::Receipt, &[did.as_str().as_bytes(), &[0], &idempotency.0])
}

#[must_use]
pub fn sweep(sweep: Sweep) -> Key {
    let (sort, id, pos) = match sweep {
        Sweep::Repo(repo) => (0, repo.0, 0),
        Sweep::Blobs(account) => (1, account.0, 0),
        Sweep::Purge(repo, pos) => (2, repo.0, pos.0),
    };
    key(Space::Sweep, &[&[sort], &id.to_be_bytes(), &pos.to_be_bytes()])
}

fn bad(what: &str) -> Error {
    Error::new(Reason::DataCorrupt, format!("metadata: a key is no {what} key"))
}

fn number(key: &[u8], at: usize, what: &str) -> Result<u64> {
    let bytes = key.get(at..at + 8).ok_or_else(|| bad(what))?;
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| bad(what))?))
}

fn text<'a>(key: &'a [u8], at: usize, what: &str) -> Result<&'a str> {
    key.get(at..).and_then(|b| std::str::from_utf8(b).ok()).ok_or_else(|| bad(what))
}

/// Reads a block key.
pub fn read_block(key: &[u8]) -> Result<(RepoId, Cid)> {
    Ok((RepoId(number(key, 1, "block")?), Cid::from_key(key.get(9..).ok_or_else(|| bad("block"))?)?))
}

/// Reads a record key.
pub fn read_record(key: &[u8]) -> Result<(RepoId, RecordPath)> {
    Ok((RepoId(number(key, 1, "record")?), text(key, 9, "record")?.parse()?))
}

/// Reads a commit key.
pub fn read_commit(key: &[u8]) -> Result<(RepoId, Tid)> {
    let read = (RepoId(number(key, 1, "commit")?), Tid::from_u64(number(key, 9, "commit")?));
    if key.len() == 17 { Ok(read) } else { Err(bad("commit")) }
}

/// Reads the incarnation of a blob key.
pub fn read_blob_account(key: &[u8]) -> Result<AccountId> {
    Ok(AccountId(number(key, 1, "blob")?))
}

/// Reads the blob and the record of a blob-use key.
pub fn read_blob_use(key: &[u8]) -> Result<(Cid, RecordPath)> {
    let cid = Cid::from_key(key.get(9..9 + Cid::KEY_BYTES).ok_or_else(|| bad("blob use"))?)?;
    Ok((cid, text(key, 9 + Cid::KEY_BYTES, "blob use")?.parse()?))
}

/// Reads a row's name of which kind and key stand at `at`.
pub fn read_row(key: &[u8], at: usize) -> Result<RowKey> {
    let (kind, key) = key.get(at..).and_then(|k| k.split_first()).ok_or_else(|| bad("row"))?;
    let kind = RowKind::from_code(*kind).ok_or_else(|| bad("row"))?;
    Ok(RowKey { kind, key: key.to_vec() })
}

/// Reads the time of an expiry key.
pub fn read_expiry(key: &[u8]) -> Result<Micros> {
    Ok(Micros(number(key, 1, "expiry")?))
}

/// Reads a receipt key.
pub fn read_receipt(key: &[u8]) -> Result<(Did, IdempotencyKey)> {
    let split = key.len().checked_sub(17).filter(|at| *at > 1 && key[*at] == 0).ok_or_else(|| bad("receipt"))?;
    let did = std::str::from_utf8(&key[1..split]).map_err(|_| bad("receipt"))?.parse()?;
    Ok((did, IdempotencyKey(key[split + 1..].try_into().map_err(|_| bad("receipt"))?)))
}

/// Reads a sweep key.
pub fn read_sweep(key: &[u8]) -> Result<Sweep> {
    let (id, pos) = (number(key, 2, "sweep")?, number(key, 10, "sweep")?);
    match (key[1], pos) {
        _ if key.len() != 18 => Err(bad("sweep")),
        (0, 0) => Ok(Sweep::Repo(RepoId(id))),
        (1, 0) => Ok(Sweep::Blobs(AccountId(id))),
        (2, pos) => Ok(Sweep::Purge(RepoId(id), backend_api::Pos(pos))),
        _ => Err(bad("sweep")),
    }
}
