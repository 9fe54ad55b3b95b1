//! A CAR file on disk whose blocks can be asked for by CID.

use std::fs::File;
use std::os::unix::fs::FileExt;

use backend_api::car::{CarEvent, CarReader};
use backend_api::limits::BLOCK_BYTES_MAX;
use backend_api::tree::CommitBlock;
use backend_api::{Cid, Error, Head, Reason, Result};
use bytes::Bytes;

/// Read at a time while the file is indexed.
const PIECE_BYTES: usize = 1 << 20;

/// The first read of one block: most blocks are smaller, so that one system call gets them whole.
const FIRST_READ_BYTES: usize = 4096;

/// A repository export, every block of it hashed, indexed by CID.
///
/// Memory: 16 bytes for each block of the file, whatever the blocks weigh.
pub struct CarFile {
    file: File,
    name: String,
    commit: CommitBlock,
    head: Head,
    /// Sorted by the first eight bytes of the digest; who looks up compares the whole CID with the file's.
    index: Vec<Slot>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    digest_prefix: u64,
    offset: u64,
}

impl CarFile {
    /// Reads the file once from end to end: every block is hashed against its CID, the commit that the header names
    /// is decoded. `progress` is told how many bytes are done of how many.
    ///
    /// # Errors
    /// What [`CarReader`] says, [`Reason::CommitMismatch`] for a root that is no commit of version 3,
    /// [`Reason::ReadFailed`]; each names the file and the byte. What `progress` answers.
    pub fn open(file: File, name: &str, mut progress: impl FnMut(u64, u64) -> Result<()>) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| read_failed(name, 0, &e))?;
        if !metadata.is_file() {
            return Err(Error::new(
                Reason::BadRequest,
                format!("{name}: not a regular file; save the CAR to one first"),
            ));
        }
        let total = metadata.len();
        let mut reader = CarReader::new();
        let mut piece = vec![0; PIECE_BYTES];
        let (mut index, mut roots, mut offset) = (Vec::new(), None, 0);
        loop {
            let len = read_some(&file, &mut piece, offset).map_err(|e| read_failed(name, offset, &e))?;
            if len == 0 {
                break;
            }
            reader.push(&piece[..len]);
            offset += len as u64;
            while let Some(event) = reader.next().map_err(|e| e.context(name))? {
                match event {
                    CarEvent::Header { roots: named } => roots = Some(named),
                    CarEvent::Block { cid, offset, .. } => index.push(Slot { digest_prefix: prefix(&cid), offset }),
                }
            }
            progress(offset, total.max(offset))?;
        }
        reader.finish().map_err(|e| e.context(name))?;
        index.sort_unstable();
        let root = only_root(name, roots.as_deref().unwrap_or_default())?;
        let blocks = Blocks { file: &file, name, index: &index };
        let (commit, head) = commit(&blocks, root)?;
        Ok(Self { name: name.to_owned(), commit, head, index, file })
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The commit that the header names.
    #[must_use]
    pub const fn commit(&self) -> &CommitBlock {
        &self.commit
    }

    /// That commit's name.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Blocks in the file, each as often as it stands there.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.index.len() as u64
    }

    /// A block and where its entry starts; `None` if the file has none of that CID.
    ///
    /// # Errors
    /// [`Reason::ReadFailed`], also if the file was changed since it was opened.
    pub fn block(&self, cid: &Cid) -> Result<Option<Found>> {
        Blocks { file: &self.file, name: &self.name, index: &self.index }.get(cid)
    }
}

/// A block of a file.
pub struct Found {
    /// Its number among the file's entries.
    pub slot: usize,
    /// Where its entry starts, in bytes.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Bytes,
}

struct Blocks<'a> {
    file: &'a File,
    name: &'a str,
    index: &'a [Slot],
}

impl Blocks<'_> {
    fn get(&self, cid: &Cid) -> Result<Option<Found>> {
        let wanted = prefix(cid);
        let first = self.index.partition_point(|slot| slot.digest_prefix < wanted);
        for (slot, at) in self.index.iter().enumerate().skip(first).take_while(|(_, at)| at.digest_prefix == wanted) {
            let (found, bytes) = self.entry(at.offset)?;
            if found == *cid {
                return Ok(Some(Found { slot, offset: at.offset, bytes }));
            }
        }
        Ok(None)
    }

    /// Reads an entry that was whole when the file was indexed.
    fn entry(&self, offset: u64) -> Result<(Cid, Bytes)> {
        let changed = || {
            let detail = format!("{}: byte {offset}: the file was changed while it was read", self.name);
            Error::new(Reason::ReadFailed, detail)
        };
        let mut bytes = vec![0; FIRST_READ_BYTES];
        let got = read_full(self.file, &mut bytes, offset).map_err(|e| read_failed(self.name, offset, &e))?;
        bytes.truncate(got);
        let (prefix, length) = varint(&bytes).ok_or_else(changed)?;
        if !(Cid::BYTES..=Cid::BYTES + BLOCK_BYTES_MAX).contains(&length) {
            return Err(changed());
        }
        let end = prefix + length;
        if end > bytes.len() {
            bytes.resize(end, 0);
            let from = offset + got as u64;
            let rest = read_full(self.file, &mut bytes[got..], from).map_err(|e| read_failed(self.name, from, &e))?;
            if got + rest < end {
                return Err(changed());
            }
        }
        let cid = Cid::from_bytes(&bytes[prefix..prefix + Cid::BYTES]).map_err(|_| changed())?;
        Ok((cid, Bytes::copy_from_slice(&bytes[prefix + Cid::BYTES..end])))
    }
}

fn only_root(name: &str, roots: &[Cid]) -> Result<Cid> {
    match roots {
        // The specification lets more roots follow; the first is the commit.
        [root, ..] => Ok(*root),
        [] => Err(Error::new(Reason::BadCar, format!("{name}: the header names no root, so no commit"))),
    }
}

fn commit(blocks: &Blocks<'_>, root: Cid) -> Result<(CommitBlock, Head)> {
    let name = blocks.name;
    let Some(found) = blocks.get(&root)? else {
        let detail = format!("{name}: the root {root} that the header names is not in the file");
        return Err(Error::new(Reason::BlockMissing, detail));
    };
    let place = format!("{name}: byte {}: block {root}", found.offset);
    // An old export says version 2, which cannot be kept as it is: its commit block is signed.
    let commit = CommitBlock::decode(&found.bytes).map_err(|e| e.context(&place))?;
    let head = Head { cid: root, rev: commit.rev };
    Ok((commit, head))
}

fn prefix(cid: &Cid) -> u64 {
    cid.digest()[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 1, usize::try_from(value).ok()?));
        }
    }
    None
}

fn read_some(file: &File, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
    loop {
        match file.read_at(buf, offset) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn read_full(file: &File, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match read_some(file, &mut buf[done..], offset + done as u64)? {
            0 => break,
            len => done += len,
        }
    }
    Ok(done)
}

fn read_failed(name: &str, offset: u64, error: &std::io::Error) -> Error {
    Error::new(Reason::ReadFailed, format!("{name}: byte {offset}: {error}"))
}
