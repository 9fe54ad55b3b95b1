//! Hint files: what is needed of a sealed log file to replay it, without the blocks' bytes.
//!
//! `log/0000000001.hint` has, after its header, the frames of `0000000001.log` in their order, each block frame replaced
//! by a [`BlockHint`]. It only saves reading: a missing or damaged one is passed over. Who reads long stretches of the log is
//! a rebuild of the metadata, so there are hints from the newest copy of the metadata on.

use std::path::Path;
use std::sync::Arc;

use backend_api::limits::BLOCK_BYTES_MAX;
use backend_api::{Cid, Error, Reason, Result};
use bytes::Bytes;

use super::files::{LogFiles, number_of};
use super::frames::each_frame;
use crate::format::frame::{BLOCK_PREFIX_BYTES, BlockHint, FrameKind};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::io::{File, discard, failed, read_up_to};

const CHUNK_BYTES: usize = 1 << 20;
static ZEROS: [u8; BLOCK_BYTES_MAX] = [0; BLOCK_BYTES_MAX];

/// Stands for the bytes of a block of that length.
pub fn zeros(len: u32) -> Bytes {
    Bytes::from_static(&ZEROS[..(len as usize).min(BLOCK_BYTES_MAX)])
}

/// The hint file of a log file, if there is a sound one.
pub fn open(files: &LogFiles, number: u32) -> Option<Arc<dyn File>> {
    let path = files.path(number).with_extension("hint");
    let file = files.disk().open(&path).ok()?;
    let bytes = read_up_to(&*file, HEADER_BYTES, 0).ok()?;
    let header = Header::decode(&bytes, FileKind::Hint, Some(files.store()), &path).ok()?;
    (header.number == u64::from(number)).then_some(file)
}

/// Writes the hint file of a sealed log file, unless it is there. Aside and renamed, never synced: it can be made again.
pub fn write(files: &LogFiles, number: u32) -> Result<()> {
    if open(files, number).is_some() {
        return Ok(());
    }
    let path = files.path(number);
    let log = files.get(number)?;
    let header = Header { kind: FileKind::Hint, ..files.header(number)? };
    let aside = path.with_extension("hint-tmp");
    let fail = |e: std::io::Error| failed("write", &aside, &e);
    let disk = files.disk();
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    write_aside(files, number, &*log, &aside, &header).inspect_err(|_| discard(disk, &aside))?;
    disk.rename(&aside, &path.with_extension("hint")).map_err(fail)
}

/// Removes the hint files of log files before a number.
pub fn remove_before(files: &LogFiles, number: u32) -> Result<()> {
    let (disk, directory) = (files.disk(), files.directory());
    let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
    for name in names {
        if number_of(&name, ".hint").is_some_and(|of| of < number) {
            let path = directory.join(name);
            disk.remove(&path).map_err(|e| failed("remove", &path, &e))?;
        }
    }
    Ok(())
}

fn write_aside(files: &LogFiles, number: u32, log: &dyn File, aside: &Path, header: &Header) -> Result<()> {
    let path = files.path(number);
    let end = log.len().map_err(|e| failed("open", &path, &e))?;
    let fail = |e: std::io::Error| failed("write", aside, &e);
    let file = files.disk().create(aside).map_err(fail)?;
    let mut out = header.encode().to_vec();
    let mut written = 0;
    each_frame(log, &path, HEADER_BYTES as u64, end, |offset, frame, bytes| {
        match (frame.kind, frame.payload.get(..Cid::KEY_BYTES).map(Cid::from_key)) {
            (FrameKind::Block, Some(Ok(cid))) => {
                let len = (frame.len() - BLOCK_PREFIX_BYTES) as u32;
                BlockHint { cid, offset, len, crc: frame.crc }.append(&mut out);
            }
            (FrameKind::BlockHint, _) => {
                let why = "a hint stands where a block belongs; nothing was changed";
                return Err(Error::new(Reason::DataCorrupt, format!("{}: offset {offset}: {why}", path.display())));
            }
            _ => out.extend_from_slice(bytes),
        }
        if out.len() >= CHUNK_BYTES {
            file.write_all_at(&out, written).map_err(fail)?;
            written += out.len() as u64;
            out.clear();
        }
        Ok(())
    })?;
    file.write_all_at(&out, written).map_err(fail)
}
