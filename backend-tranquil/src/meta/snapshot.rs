//! A checksummed copy of the metadata of our own: with it and the log after it, the key-value store is rebuilt from
//! nothing.
//!
//! After the file header: chunks, each `CRC-32 of the rest, payload length, pairs` (u32, u32), a pair being `key length
//! (u32), value length (u32), key, value`. The last chunk has no pairs; its payload is the number of pairs before it
//! (u64). A file without its last chunk is no snapshot. Written aside, synced, then renamed.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::{StoreId, u32_at, u64_at};
use crate::io::{Disk, discard, failed, read_exact_at};

use super::MetaSnapshot;

const CHUNK_BYTES: usize = 256 * 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;

fn path_of(directory: &Path, pos: u64) -> PathBuf {
    directory.join(format!("{pos:016}.snapshot"))
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
    let header = Header { kind: FileKind::Snapshot, store, number: pos, base: pos, chain: 0 };
    file.write_all_at(&header.encode(), 0).map_err(fail)?;
    let mut offset = HEADER_BYTES as u64;
    let mut chunk = vec![0; 8];
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

fn put_chunk(file: &dyn crate::io::File, chunk: &mut Vec<u8>, offset: u64) -> std::io::Result<u64> {
    let len = (chunk.len() - 8) as u32;
    chunk[4..8].copy_from_slice(&len.to_le_bytes());
    let crc = crc32fast::hash(&chunk[4..]);
    chunk[..4].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(chunk, offset)?;
    let end = offset + chunk.len() as u64;
    chunk.truncate(8);
    Ok(end)
}

/// Calls `each` with the pairs of a snapshot, in order, after the whole file was checked: a damaged one gives nothing.
pub fn read_snapshot(
    disk: &dyn Disk,
    path: &Path,
    store: StoreId,
    mut each: impl FnMut(Vec<u8>, Vec<u8>) -> Result<()>,
) -> Result<()> {
    walk(disk, path, store, &mut |_, _| Ok(()))?;
    walk(disk, path, store, &mut each)
}

fn walk(
    disk: &dyn Disk,
    path: &Path,
    store: StoreId,
    each: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let fail = |e: std::io::Error| failed("read", path, &e);
    let file = disk.open(path).map_err(fail)?;
    let header = crate::io::read_up_to(&*file, HEADER_BYTES, 0).map_err(fail)?;
    Header::decode(&header, FileKind::Snapshot, Some(store), path)?;
    let mut offset = HEADER_BYTES as u64;
    let mut pairs = 0_u64;
    loop {
        let bad = |why: &str| {
            let detail = format!("{}: offset {offset}: {why}", path.display());
            Error::new(Reason::DataCorrupt, detail)
        };
        let read = |len: usize, at: u64| match read_exact_at(&*file, len, at) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(bad("the file ends too early")),
            other => other.map_err(fail),
        };
        let head = read(8, offset)?;
        let len = u32_at(&head, 4) as usize;
        if len > CHUNK_BYTES_MAX {
            return Err(bad("impossible length"));
        }
        let payload = read(len, offset + 8)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[4..]);
        crc.update(&payload);
        if crc.finalize() != u32_at(&head, 0) {
            return Err(bad("wrong checksum"));
        }
        if len == 8 {
            return if u64_at(&payload, 0) == pairs { Ok(()) } else { Err(bad("pairs are missing")) };
        }
        let mut rest = &payload[..];
        while !rest.is_empty() {
            if rest.len() < 8 {
                return Err(bad("a pair is cut short"));
            }
            let (key, value) = (u32_at(rest, 0) as usize, u32_at(rest, 4) as usize);
            if rest.len() - 8 < key.saturating_add(value) {
                return Err(bad("a pair is cut short"));
            }
            each(rest[8..8 + key].to_vec(), rest[8 + key..8 + key + value].to_vec())?;
            rest = &rest[8 + key + value..];
            pairs += 1;
        }
        offset += 8 + len as u64;
    }
}

/// Snapshots that are there, newest first.
pub fn newest_snapshot(disk: &dyn Disk, directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
    let mut found: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok())
        .map(|pos| (pos, path_of(directory, pos)))
        .collect();
    found.reverse();
    Ok(found)
}

/// Removes all but the newest `keep`.
pub fn remove_old_snapshots(disk: &dyn Disk, directory: &Path, keep: usize) -> Result<()> {
    for (_, path) in newest_snapshot(disk, directory)?.into_iter().skip(keep) {
        disk.remove(&path).map_err(|e| failed("remove", &path, &e))?;
    }
    Ok(())
}
