//! A file's bytes, written anew.
//!
//! After a failed sync the kernel may hold pages that look written and are not (Rebello et al., ATC 2020): a sync of the
//! same file would say yes and mean nothing.

use std::path::Path;

use backend_api::{Error, Reason, Result};

use super::{Disk, File, failed, read_up_to};

const CHUNK_BYTES: usize = 1 << 20;

/// Copies a file to fresh blocks: aside, synced, checked, and put in the place of the original. On a full disk its bytes are
/// written again where they are.
pub fn rewrite(disk: &dyn Disk, path: &Path, check: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    let aside = path.with_extension("rewrite-tmp");
    match copy(disk, path, &aside, check) {
        Err(e) if e.reason() == Reason::StorageFull => {
            discard(disk, &aside);
            return rewrite_in_place(disk, path, None);
        }
        other => other?,
    }
    // Without it a power cut takes the name back, and all that is written to the file from now on: for want of a descriptor
    // this is refused, and is tried again by the next open.
    let directory = path.parent().unwrap_or(path);
    disk.sync_directory(directory).map_err(|e| failed("sync", directory, &e))
}

fn copy(disk: &dyn Disk, path: &Path, aside: &Path, check: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    let fail = |e: std::io::Error| failed("rewrite", aside, &e);
    if disk.exists(aside).map_err(fail)? {
        disk.remove(aside).map_err(fail)?;
    }
    let from = disk.open(path).map_err(|e| failed("open", path, &e))?;
    let to = disk.create(aside).map_err(fail)?;
    let mut offset = 0;
    loop {
        let chunk = read_twice(&*from, path, CHUNK_BYTES, offset)?;
        if chunk.is_empty() {
            break;
        }
        to.write_all_at(&chunk, offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    to.sync().map_err(fail)?;
    check(aside)?;
    disk.rename(aside, path).map_err(fail)
}

/// Reads what is about to be written over its only copy, so it must be what is there: one bad read would stay for ever.
fn read_twice(file: &dyn File, path: &Path, len: usize, offset: u64) -> Result<Vec<u8>> {
    let read = || read_up_to(file, len, offset).map_err(|e| failed("read", path, &e));
    let chunk = read()?;
    if chunk == read()? {
        return Ok(chunk);
    }
    Err(two_reads_differ(path, offset))
}

/// What was read is not what is read again: nothing may be built on either.
pub fn two_reads_differ(path: &Path, offset: u64) -> Error {
    let detail = format!(
        "read {}: offset {offset}: two reads gave different bytes; nothing was changed: try again, then look at the disk",
        path.display()
    );
    Error::new(Reason::ReadFailed, detail)
}

/// Writes a file's bytes once more where they are, up to `len`, cuts off what follows, and syncs. It needs no space.
///
/// What is written is what is there, so a crash in between changes nothing. Fresh blocks are better only where the old
/// ones are bad, and then this says so.
pub fn rewrite_in_place(disk: &dyn Disk, path: &Path, len: Option<u64>) -> Result<()> {
    let fail = |e: std::io::Error| failed("rewrite", path, &e);
    let file = disk.open(path).map_err(fail)?;
    let len = len.map_or_else(|| file.len(), Ok).map_err(fail)?;
    let mut offset = 0;
    while offset < len {
        let chunk = read_twice(&*file, path, CHUNK_BYTES.min((len - offset) as usize), offset)?;
        if chunk.is_empty() {
            return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
        }
        file.write_all_at(&chunk, offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    file.set_len(len).and_then(|()| file.sync()).map_err(fail)
}

/// Removes what was begun aside and not finished, for the space that it takes. The next attempt would remove it as well.
pub fn discard(disk: &dyn Disk, aside: &Path) {
    if let Err(e) = disk.remove(aside)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %aside.display(), error = %e, "an unfinished file stays");
    }
}

/// The same with all that a process which was killed had begun aside in a directory.
pub fn discard_unfinished(disk: &dyn Disk, directory: &Path) -> Result<()> {
    for name in disk.list(directory).map_err(|e| failed("list", directory, &e))? {
        if name.ends_with(".tmp") || name.ends_with("-tmp") {
            discard(disk, &directory.join(name));
        }
    }
    Ok(())
}
