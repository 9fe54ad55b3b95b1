//! The end of the log after a crash: cut what was never acknowledged, and write the rest to fresh blocks.

use std::path::Path;
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::shared::Shared;
use crate::io::{File, discard, failed, read_up_to, rewrite_in_place};
use crate::log::{CycleScan, LogFiles, Position, Scanned};

const CHUNK_BYTES: usize = 1 << 20;

/// Keeps the bytes of a torn tail in a file of their own, `log/torn-<file>-<offset>`, for whoever wants to look. When this
/// returns they are durable under that name, and compared with where they came from. On a disk that stays full they are
/// let go: nobody was told of them.
pub fn keep_torn(shared: &Shared, at: Position, end: u64) -> Result<u64> {
    let log = &*shared.log;
    let path = log.torn_path(at);
    match shared.space.spend(|| copy_torn(log, at, end, &path).inspect_err(|_| discard(log.disk(), &path))) {
        Err(e) if e.reason() == Reason::StorageFull => {
            tracing::warn!(path = %path.display(), "no space to keep the unacknowledged tail that is cut off");
            Ok(end - at.offset)
        }
        other => other,
    }
}

fn copy_torn(log: &LogFiles, at: Position, end: u64, path: &Path) -> Result<u64> {
    let fail = |e: std::io::Error| failed("write", path, &e);
    let disk = log.disk();
    if disk.exists(path).map_err(fail)? {
        disk.remove(path).map_err(fail)?;
    }
    let (from, from_path) = (log.get(at.file)?, log.path(at.file));
    let to = disk.create(path).map_err(fail)?;
    let mut copied = 0;
    each_chunk(&*from, &from_path, at.offset, end, |chunk| {
        to.write_all_at(chunk, copied).map_err(fail)?;
        copied += chunk.len() as u64;
        Ok(())
    })?;
    to.sync().map_err(fail)?;
    disk.sync_directory(log.directory()).map_err(fail)?;
    let kept = disk.open(path).map_err(fail)?;
    let mut compared = 0;
    each_chunk(&*from, &from_path, at.offset, at.offset + copied, |chunk| {
        let same = read_up_to(&*kept, chunk.len(), compared).map_err(|e| failed("read", path, &e))? == chunk;
        compared += chunk.len() as u64;
        if same { Ok(()) } else { Err(differs(path, &from_path)) }
    })?;
    Ok(copied)
}

/// Writes the newest log file up to a position into a new file, and puts that in its place.
///
/// After a failed sync the kernel may hold pages that look written and are not (Rebello et al., ATC 2020): what was read
/// is trusted, because its checksums are right; where it was read from is not. The copy is read again, cycle by cycle,
/// before it takes the name: what is built on is what stands in it. A full disk has no fresh blocks: there it is written
/// once more where it is.
pub fn rewrite(log: &Arc<LogFiles>, at: Position) -> Result<()> {
    let path = log.path(at.file);
    let aside = path.with_extension("tmp");
    match copy(log, at, &path, &aside) {
        Err(e) if e.reason() == Reason::StorageFull => {
            discard(log.disk(), &aside);
            rewrite_in_place(log.disk(), &path, Some(at.offset))?;
        }
        other => {
            other?;
            // As of any file that is written anew: there is no other way now.
            log.disk().sync_directory(log.directory()).map_err(|e| failed("sync", log.directory(), &e))?;
        }
    }
    log.forget(at.file);
    Ok(())
}

fn copy(log: &Arc<LogFiles>, at: Position, path: &Path, aside: &Path) -> Result<()> {
    let fail = |e: std::io::Error| failed("rewrite", aside, &e);
    let disk = log.disk();
    if disk.exists(aside).map_err(fail)? {
        disk.remove(aside).map_err(fail)?;
    }
    let from = log.get(at.file)?;
    let to = disk.create(aside).map_err(fail)?;
    let mut copied = 0;
    each_chunk(&*from, path, 0, at.offset, |chunk| {
        to.write_all_at(chunk, copied).map_err(fail)?;
        copied += chunk.len() as u64;
        Ok(())
    })?;
    if copied < at.offset {
        return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
    }
    to.sync().map_err(fail)?;
    let copy = disk.open(aside).map_err(fail)?;
    let mut scan = CycleScan::of_copy(log, at.file, copy, aside.to_owned())?;
    while scan.position().offset < at.offset {
        if let Scanned::Stop(..) = scan.next()? {
            return Err(differs(aside, path));
        }
    }
    if scan.position() != at {
        return Err(differs(aside, path));
    }
    disk.rename(aside, path).map_err(fail)
}

/// Gives the bytes between two offsets, as far as the file has them.
fn each_chunk(
    file: &dyn File,
    path: &Path,
    from: u64,
    to: u64,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut offset = from;
    while offset < to {
        let len = CHUNK_BYTES.min((to - offset) as usize);
        let chunk = read_up_to(file, len, offset).map_err(|e| failed("read", path, &e))?;
        if chunk.is_empty() {
            break;
        }
        each(&chunk)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}

fn differs(copy: &Path, of: &Path) -> Error {
    let (copy, of) = (copy.display(), of.display());
    let detail = format!("{copy}: what was written is not what is read; {of} was not changed: look at the disk");
    Error::new(Reason::DataCorrupt, detail)
}
