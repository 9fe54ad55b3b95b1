//! What a disk holds: each file and directory twice, as programs see it and as it would be after a power cut.

use std::collections::BTreeMap;

use super::crash::Keep;
use super::harm::Harmed;
use super::pairs::Pairs;

/// What a device writes whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// A name's meaning.
pub type Inode = u64;

/// One thing on the disk.
#[derive(Debug, Clone)]
pub enum Node {
    /// A file.
    File(FileNode),
    /// A directory.
    Directory(DirectoryNode),
    /// A key-value store: durable at once, as its contract says.
    Kv(KvNode),
}

/// A key-value store.
#[derive(Debug, Clone, Default)]
pub struct KvNode {
    /// What the next open finds.
    pub pairs: Pairs,
    /// Bytes that its files take: more than the pairs, until something is compacted.
    pub allocated: u64,
}

/// Something done since the last sync; `order` counts over the whole disk.
#[derive(Debug, Clone)]
pub struct Pending<T> {
    pub order: u64,
    pub change: T,
}

/// A change of a file.
#[derive(Debug, Clone)]
pub enum FileChange {
    /// Bytes at an offset.
    Write(u64, Vec<u8>),
    /// A new size.
    Len(u64),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct FileNode {
    /// What programs read.
    pub live: Vec<u8>,
    /// What a power cut leaves of what was synced.
    pub durable: Vec<u8>,
    pub pending: Vec<Pending<FileChange>>,
    /// What programs read may differ from what is durable with what is pending.
    pub is_apart: bool,
    /// Up to here it has space of its own.
    pub allocated: u64,
    /// Where a lying device has something else than it was told to write: what should be there.
    pub harmed: Harmed,
}

/// Names that were set or removed in one step.
pub type NameChange = Vec<(String, Option<Inode>)>;

/// A directory.
#[derive(Debug, Clone, Default)]
pub struct DirectoryNode {
    pub live: BTreeMap<String, Inode>,
    pub durable: BTreeMap<String, Inode>,
    pub pending: Vec<Pending<NameChange>>,
}

impl FileNode {
    /// Changes the size, with zeros behind the old end.
    pub fn set_len(&mut self, len: u64, order: u64) {
        if self.live.len() as u64 != len {
            self.live.resize(len as usize, 0);
            self.pending.push(Pending { order, change: FileChange::Len(len) });
        }
    }

    /// Writes, and extends if need be.
    pub fn write(&mut self, offset: u64, bytes: &[u8], order: u64) {
        let end = offset + bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        if end > self.live.len() as u64 {
            self.set_len(end, order);
        } else if end > self.size_to_be() {
            // File systems bring the size on disk up to what they write out, also where a failed sync had lost it: ext4 its
            // i_disksize, XFS its di_size, when the pages are written.
            self.pending.push(Pending { order, change: FileChange::Len(end) });
        }
        self.live[offset as usize..end as usize].copy_from_slice(bytes);
        self.allocated = self.allocated.max(end);
        self.pending.push(Pending { order, change: FileChange::Write(offset, bytes.to_vec()) });
    }

    /// The size on disk when all that is pending is there.
    fn size_to_be(&self) -> u64 {
        let len = |pending: &Pending<FileChange>| match pending.change {
            FileChange::Len(len) => Some(len),
            FileChange::Write(..) => None,
        };
        self.pending.iter().rev().find_map(len).unwrap_or(self.durable.len() as u64)
    }

    /// Everything becomes durable.
    pub fn sync(&mut self) {
        self.lose_pending(&mut Keep::All);
    }

    /// A sync that fails and leaves the pages clean: what did not reach the disk is never written again.
    pub fn lose_pending(&mut self, keep: &mut Keep<'_>) {
        self.is_apart |= !self.pending.is_empty() && !matches!(keep, Keep::All);
        for pending in std::mem::take(&mut self.pending) {
            put(&mut self.durable, &pending, keep, &mut self.harmed);
        }
    }

    /// The cache forgets what it thinks is on disk.
    pub fn evict(&mut self) {
        if !std::mem::take(&mut self.is_apart) {
            return;
        }
        let mut bytes = self.durable.clone();
        for pending in &self.pending {
            put(&mut bytes, pending, &mut Keep::All, &mut Harmed::default());
        }
        self.live = bytes;
    }

    /// The power goes.
    pub fn cut(&mut self, keep: &mut Keep<'_>) {
        let is_apart = self.is_apart || !self.pending.is_empty();
        self.lose_pending(keep);
        if is_apart {
            self.live.clone_from(&self.durable);
        }
        self.is_apart = false;
        self.allocated = self.live.len() as u64;
    }
}

impl DirectoryNode {
    /// Sets or removes names in one step.
    pub fn change(&mut self, change: NameChange, order: u64) {
        set(&mut self.live, &change);
        self.pending.push(Pending { order, change });
    }

    /// One name becomes durable, in what it means now.
    pub fn sync_name(&mut self, name: &str) {
        if let Some(inode) = self.live.get(name) {
            self.durable.insert(name.to_owned(), *inode);
        }
    }

    /// Everything becomes durable.
    pub fn sync(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.live);
    }

    /// The power goes.
    pub fn cut(&mut self, keep: &mut Keep<'_>) {
        for pending in std::mem::take(&mut self.pending) {
            if keep.keeps(pending.order) {
                set(&mut self.durable, &pending.change);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

fn set(names: &mut BTreeMap<String, Inode>, change: &NameChange) {
    for (name, inode) in change {
        match inode {
            Some(inode) => drop(names.insert(name.clone(), *inode)),
            None => drop(names.remove(name)),
        }
    }
}

/// Puts what is kept of a change into the bytes that a power cut leaves. A size may be kept without its bytes, and bytes
/// behind the size are lost.
fn put(bytes: &mut Vec<u8>, pending: &Pending<FileChange>, keep: &mut Keep<'_>, harmed: &mut Harmed) {
    match &pending.change {
        FileChange::Len(len) => {
            if keep.keeps(pending.order) {
                bytes.resize(*len as usize, 0);
                harmed.cut(*len);
            }
        }
        FileChange::Write(offset, data) => {
            let end = offset + data.len() as u64;
            let mut at = *offset;
            while at < end {
                let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                let room = (bytes.len() as u64).clamp(at, next);
                let kept = keep.kept(pending.order, (next - at) as usize).min((room - at) as usize);
                if kept > 0 {
                    let from = (at - offset) as usize;
                    let piece = &data[from..from + kept];
                    let there = &mut bytes[at as usize..at as usize + kept];
                    // Who writes what is there has read it there: that mends nothing.
                    if *there != *piece {
                        there.copy_from_slice(piece);
                        harmed.write(at, piece);
                    }
                }
                at = next;
            }
        }
    }
}
