//! The end of the log after a crash: cut what was never acknowledged, and write the rest to fresh blocks.

use backend_api::Result;

use crate::io::{failed, read_up_to};
use crate::log::{LogFiles, Position};

const CHUNK_BYTES: usize = 1 << 20;

/// Keeps the bytes of a torn tail in a file of their own, `log/torn-<file>-<offset>`, for whoever wants to look.
pub fn keep_torn(log: &LogFiles, at: Position, end: u64) -> Result<u64> {
    let path = log.directory().join(format!("torn-{:010}-{}", at.file, at.offset));
    let fail = |e: std::io::Error| failed("write", &path, &e);
    let disk = log.disk();
    if disk.exists(&path).map_err(fail)? {
        disk.remove(&path).map_err(fail)?;
    }
    let from = log.get(at.file)?;
    let to = disk.create(&path).map_err(fail)?;
    let mut offset = at.offset;
    while offset < end {
        let len = CHUNK_BYTES.min((end - offset) as usize);
        let chunk = read_up_to(&*from, len, offset).map_err(|e| failed("read", &log.path(at.file), &e))?;
        if chunk.is_empty() {
            break;
        }
        to.write_all_at(&chunk, offset - at.offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    to.sync().map_err(fail)?;
    Ok(offset - at.offset)
}

/// Writes the newest log file up to a position into a new file, and puts that in its place.
///
/// After a failed sync the kernel may hold pages that look written and are not (Rebello et al., ATC 2020): what was read
/// is trusted, because its checksums are right; where it was read from is not.
pub fn rewrite(log: &LogFiles, at: Position, file_bytes: u64) -> Result<()> {
    let path = log.path(at.file);
    let aside = path.with_extension("tmp");
    let fail = |e: std::io::Error| failed("rewrite", &aside, &e);
    let disk = log.disk();
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let from = log.get(at.file)?;
    let to = disk.create(&aside).map_err(fail)?;
    // With little space left the file is shorter for now: opening matters more.
    if let Err(e) = to.allocate(file_bytes.max(at.offset)) {
        tracing::warn!(error = %e, "no space to preallocate the log file");
    }
    let mut offset = 0;
    while offset < at.offset {
        let len = CHUNK_BYTES.min((at.offset - offset) as usize);
        let chunk = read_up_to(&*from, len, offset).map_err(|e| failed("read", &path, &e))?;
        if chunk.is_empty() {
            return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
        }
        to.write_all_at(&chunk, offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    to.sync().map_err(fail)?;
    disk.rename(&aside, &path).map_err(fail)?;
    disk.sync_directory(log.directory()).map_err(fail)?;
    log.forget(at.file);
    Ok(())
}
