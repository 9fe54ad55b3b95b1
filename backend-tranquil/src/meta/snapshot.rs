//! A checksummed copy of the metadata of our own: with it and the log after it, the key-value store is rebuilt from
//! nothing.
//!
//! After the file header: chunks, each `CRC-32 of the rest, payload length, pairs` (u32, u32), a pair being `key length
//! (u32), value length (u32), key, value`. The last chunk has no pairs; its payload is the number of pairs before it
//! (u64). A file without its last chunk is no snapshot. Written aside, synced, then renamed.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::key::MARK;
use crate::format::value::{self, Mark};
use crate::format::{StoreId, number_in, u32_at, u64_at};
use crate::io::{Disk, File, discard, failed, read_exact_at};
use crate::parity::{self, Cover, Extent, found_sound};

use super::MetaSnapshot;

/// Digits of a copy's name.
const DIGITS: usize = 16;
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So much of a copy is synced at once. While the disk takes it, the sync of a cycle waits.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

fn path_of(directory: &Path, pos: u64) -> PathBuf {
    directory.join(format!("{pos:0DIGITS$}.snapshot"))
}

const fn header_of(store: StoreId, pos: u64) -> Header {
    Header { kind: FileKind::Snapshot, store, number: pos, base: pos, chain: 0 }
}

/// Makes sure that a snapshot is sound to its last byte. Returns its length.
pub fn check_snapshot(disk: &dyn Disk, path: &Path, store: StoreId) -> Result<u64> {
    let mut pairs = SnapshotPairs::open(disk, path, store)?;
    pairs.by_ref().try_for_each(|pair| pair.map(|_| ()))?;
    // What follows the last chunk, which has eight bytes.
    pairs.offset += 16;
    let len = pairs.file.len().map_err(|e| failed("read", path, &e))?;
    if len == pairs.offset { Ok(len) } else { Err(pairs.bad("bytes after the end")) }
}

/// Makes the sidecar of a snapshot, unless it is there.
pub fn cover_snapshot(disk: &dyn Disk, directory: &Path, store: StoreId, pos: u64) -> Result<()> {
    let path = path_of(directory, pos);
    let file = disk.open(&path).map_err(|e| failed("open", &path, &e))?;
    let len = file.len().map_err(|e| failed("open", &path, &e))?;
    let cover = Cover::new(disk, &path, &header_of(store, pos), len, Extent::All);
    if cover.is_done() {
        return Ok(());
    }
    check_snapshot(disk, &path, store)?;
    let from = cover.from(0);
    cover.bring(&*file, from, &mut found_sound).map(|_| ())
}

/// Writes the state of the store, which is that after mutation `pos`. Returns the file's length.
pub fn write_snapshot(
    disk: &dyn Disk,
    directory: &Path,
    store: StoreId,
    pos: u64,
    state: &dyn MetaSnapshot,
) -> Result<u64> {
    let path = path_of(directory, pos);
    let aside = path.with_extension("tmp");
    let fail = |e: std::io::Error| failed("write", &aside, &e);
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let len = write_aside(disk, &aside, store, pos, state).inspect_err(|_| discard(disk, &aside))?;
    disk.rename(&aside, &path).map_err(fail)?;
    disk.sync_directory(directory).map_err(fail)?;
    Ok(len)
}

fn write_aside(disk: &dyn Disk, aside: &Path, store: StoreId, pos: u64, state: &dyn MetaSnapshot) -> Result<u64> {
    let fail = |e: std::io::Error| failed("write", aside, &e);
    let file = disk.create(aside).map_err(fail)?;
    file.write_all_at(&header_of(store, pos).encode(), 0).map_err(fail)?;
    let mut offset = HEADER_BYTES as u64;
    let mut chunk = vec![0; 8];
    let mut synced = offset;
    let mut pairs = 0_u64;
    for pair in state.range(Bound::Unbounded, Bound::Unbounded, false) {
        let (key, value) = pair?;
        chunk.extend_from_slice(&(key.len() as u32).to_le_bytes());
        chunk.extend_from_slice(&(value.len() as u32).to_le_bytes());
        chunk.extend_from_slice(&key);
        chunk.extend_from_slice(&value);
        pairs += 1;
        if chunk.len() >= CHUNK_BYTES {
            offset = put_chunk(&*file, &mut chunk, offset).map_err(fail)?;
            if offset - synced >= SYNC_BYTES {
                file.sync().map_err(fail)?;
                synced = offset;
            }
        }
    }
    if chunk.len() > 8 {
        offset = put_chunk(&*file, &mut chunk, offset).map_err(fail)?;
    }
    chunk.extend_from_slice(&pairs.to_le_bytes());
    offset = put_chunk(&*file, &mut chunk, offset).map_err(fail)?;
    file.sync().map_err(fail)?;
    Ok(offset)
}

fn put_chunk(file: &dyn File, chunk: &mut Vec<u8>, offset: u64) -> std::io::Result<u64> {
    let len = (chunk.len() - 8) as u32;
    chunk[4..8].copy_from_slice(&len.to_le_bytes());
    let crc = crc32fast::hash(&chunk[4..]);
    chunk[..4].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(chunk, offset)?;
    let end = offset + chunk.len() as u64;
    chunk.truncate(8);
    Ok(end)
}

/// The pairs of a snapshot, in order, one chunk in memory at a time. Ends after its first error: what came before is not
/// the whole of it then.
pub struct SnapshotPairs {
    file: Arc<dyn File>,
    path: PathBuf,
    offset: u64,
    chunk: Vec<u8>,
    /// How much of the chunk was given out.
    given: usize,
    pairs: u64,
    last: Option<Vec<u8>>,
    ended: bool,
}

impl SnapshotPairs {
    /// Opens a snapshot and checks its header.
    pub fn open(disk: &dyn Disk, path: &Path, store: StoreId) -> Result<Self> {
        let (file, _) = open_checked(disk, path, store)?;
        let (path, offset) = (path.to_owned(), HEADER_BYTES as u64);
        Ok(Self { file, path, offset, chunk: Vec::new(), given: 0, pairs: 0, last: None, ended: false })
    }

    fn bad(&self, why: &str) -> Error {
        Error::new(Reason::DataCorrupt, format!("{}: offset {}: {why}", self.path.display(), self.offset))
    }

    fn read(&self, len: usize, offset: u64) -> Result<Vec<u8>> {
        read_exact_at(&*self.file, len, offset).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.bad("the file ends too early"),
            _ => failed("read", &self.path, &e),
        })
    }

    /// The next chunk. False if it was the last, which tells how many pairs there are.
    fn next_chunk(&mut self) -> Result<bool> {
        self.offset += if self.chunk.is_empty() { 0 } else { 8 + self.chunk.len() as u64 };
        let head = self.read(8, self.offset)?;
        let len = u32_at(&head, 4) as usize;
        if len > CHUNK_BYTES_MAX {
            return Err(self.bad("impossible length"));
        }
        let payload = self.read(len, self.offset + 8)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[4..]);
        crc.update(&payload);
        if crc.finalize() != u32_at(&head, 0) {
            return Err(self.bad("wrong checksum"));
        }
        if len == 8 {
            return if u64_at(&payload, 0) == self.pairs { Ok(false) } else { Err(self.bad("pairs are missing")) };
        }
        (self.chunk, self.given) = (payload, 0);
        Ok(true)
    }

    fn next_pair(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.given == self.chunk.len() && !self.next_chunk()? {
            return Ok(None);
        }
        let rest = &self.chunk[self.given..];
        let lengths = (rest.len() >= 8).then(|| (u32_at(rest, 0) as usize, u32_at(rest, 4) as usize));
        let Some((key, value)) = lengths.filter(|(key, value)| rest.len() - 8 >= key.saturating_add(*value)) else {
            return Err(self.bad("a pair is cut short"));
        };
        let pair = (rest[8..8 + key].to_vec(), rest[8 + key..8 + key + value].to_vec());
        if self.last.as_ref().is_some_and(|last| *last >= pair.0) {
            return Err(self.bad("its keys are not in order"));
        }
        self.given += 8 + key + value;
        self.pairs += 1;
        self.last = Some(pair.0.clone());
        Ok(Some(pair))
    }
}

impl Iterator for SnapshotPairs {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let pair = self.next_pair().transpose();
        self.ended = !matches!(pair, Some(Ok(_)));
        pair
    }
}

fn open_checked(disk: &dyn Disk, path: &Path, store: StoreId) -> Result<(Arc<dyn File>, Header)> {
    let fail = |e: std::io::Error| failed("read", path, &e);
    let file = disk.open(path).map_err(fail)?;
    let header = crate::io::read_up_to(&*file, HEADER_BYTES, 0).map_err(fail)?;
    let header = Header::decode(&header, FileKind::Snapshot, Some(store), path)?;
    Ok((file, header))
}

/// A snapshot of a state after mutation `pos`, and the mutation it is of, if there is one. They are made of what was
/// acknowledged: it tells that the log had that.
pub fn snapshot_beyond(disk: &dyn Disk, directory: &Path, store: StoreId, pos: u64) -> Result<Option<(u64, PathBuf)>> {
    for (_, path) in newest_snapshot(disk, directory)?.into_iter().filter(|(found, _)| *found > pos) {
        match open_checked(disk, &path, store) {
            Ok((_, header)) if header.number > pos => return Ok(Some((header.number, path))),
            Ok(_) => {}
            // Damaged, or put there by somebody: it tells nothing.
            Err(e) if matches!(e.reason(), Reason::DataCorrupt | Reason::WrongStore) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// The mark of a snapshot: its first pair.
pub fn mark_of_snapshot(disk: &dyn Disk, path: &Path, store: StoreId) -> Result<Mark> {
    let mut pairs = SnapshotPairs::open(disk, path, store)?;
    match pairs.next_pair()? {
        Some((key, value)) if key == MARK => value::decode(&value, "mark"),
        _ => Err(pairs.bad("it does not begin with its mark")),
    }
}

/// Snapshots that are there, newest first.
pub fn newest_snapshot(disk: &dyn Disk, directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
    let mut found: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|name| number_in(name, DIGITS, ".snapshot"))
        .map(|pos| (pos, path_of(directory, pos)))
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

/// Removes all but the newest `keep`.
pub fn remove_old_snapshots(disk: &dyn Disk, directory: &Path, keep: usize) -> Result<()> {
    for (_, path) in newest_snapshot(disk, directory)?.into_iter().skip(keep) {
        disk.remove(&path).map_err(|e| failed("remove", &path, &e))?;
        parity::remove(disk, &path);
    }
    Ok(())
}
