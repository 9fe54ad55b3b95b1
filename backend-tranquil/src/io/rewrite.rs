//! A file's bytes, written to fresh blocks.

use std::path::Path;

use backend_api::Result;

use super::{Disk, failed, read_up_to};

const CHUNK_BYTES: usize = 1 << 20;

/// Copies a file aside, syncs the copy, and puts it in the place of the original.
///
/// After a failed sync the kernel may hold pages that look written and are not (Rebello et al., ATC 2020): a sync of the
/// same file would say yes and mean nothing.
pub fn rewrite(disk: &dyn Disk, path: &Path) -> Result<()> {
    let aside = path.with_extension("rewrite-tmp");
    let fail = |e: std::io::Error| failed("rewrite", &aside, &e);
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let from = disk.open(path).map_err(|e| failed("open", path, &e))?;
    let to = disk.create(&aside).map_err(fail)?;
    let mut offset = 0;
    loop {
        let chunk = read_up_to(&*from, CHUNK_BYTES, offset).map_err(|e| failed("read", path, &e))?;
        if chunk.is_empty() {
            break;
        }
        to.write_all_at(&chunk, offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    to.sync().map_err(fail)?;
    disk.rename(&aside, path).map_err(fail)?;
    let directory = path.parent().unwrap_or(path);
    disk.sync_directory(directory).map_err(|e| failed("sync", directory, &e))
}
