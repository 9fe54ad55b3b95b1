//! A healed copy takes the place of its file, and the damaged one stays under another name.
//!
//! 1. `X.healed-tmp` is written, synced, and read again: against the sidecar, and by its own checksums.
//! 2. It gets the name `X.healed`: from here on it counts.
//! 3. `X` becomes `X.damaged-1` (or the next number that is free).
//! 4. `X.healed` becomes `X`.
//!
//! The directory is synced after each. A crash before 3 leaves the damaged file where it was, and healing begins again; one
//! after it leaves no `X`, and the next open does the last step.

use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

use super::mend::overlay;
use super::{Check, Damage, Sidecar, Unreadable, damage};
use crate::io::{Disk, File, discard, failed, read_up_to, two_reads_differ};

const CHUNK_BYTES: usize = 1 << 20;
/// Files of one name that are kept damaged at the most.
const DAMAGED_MAX: u32 = 1_000;

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_there(disk: &dyn Disk, path: &Path) -> Result<bool> {
    disk.exists(path).map_err(|e| failed("open", path, &e))
}

fn sync_directory_of(disk: &dyn Disk, path: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    disk.sync_directory(directory).map_err(|e| failed("sync", directory, &e))
}

/// Writes a copy of a file with what stood in its damaged chunks, and makes sure that it is sound and durable. It counts
/// when this returns.
pub fn write_healed(disk: &dyn Disk, path: &Path, sidecar: &Sidecar, found: &Damage, check: &Check<'_>) -> Result<()> {
    let aside = with_suffix(path, ".healed-tmp");
    discard(disk, &aside);
    copy(disk, path, &aside, found).and_then(|()| verify(disk, &aside, sidecar, found, check)).inspect_err(|_| {
        discard(disk, &aside);
    })?;
    let healed = with_suffix(path, ".healed");
    disk.rename(&aside, &healed).map_err(|e| failed("rename", &aside, &e))?;
    sync_directory_of(disk, path)
}

fn copy(disk: &dyn Disk, path: &Path, aside: &Path, found: &Damage) -> Result<()> {
    let fail = |e: std::io::Error| failed("write", aside, &e);
    let from = disk.open(path).map_err(|e| failed("open", path, &e))?;
    let to = disk.create(aside).map_err(fail)?;
    let len = from.len().map_err(|e| failed("open", path, &e))?.max(found.covered);
    let read = |offset: u64| {
        let mut chunk = read_around(&*from, path, CHUNK_BYTES.min((len - offset) as usize), offset, found)?;
        for (at, bytes) in &found.found {
            overlay(&mut chunk, offset, bytes, *at);
        }
        Ok(chunk)
    };
    let mut offset = 0;
    while offset < len {
        let chunk = read(offset)?;
        // Behind what the sidecar covers nothing else tells of a bad read, which would stay for ever.
        if offset + chunk.len() as u64 > found.covered && chunk != read(offset)? {
            return Err(two_reads_differ(path, offset));
        }
        to.write_all_at(&chunk, offset).map_err(fail)?;
        offset += chunk.len() as u64;
    }
    to.sync().map_err(fail)
}

/// Bytes of a file, zeros behind its end. What cannot be read must be what was found again.
fn read_around(file: &dyn File, path: &Path, len: usize, offset: u64, found: &Damage) -> Result<Vec<u8>> {
    let read = |len: usize, offset: u64| {
        let mut bytes = read_up_to(file, len, offset)?;
        bytes.resize(len, 0);
        Ok(bytes)
    };
    match read(len, offset) {
        Err(e) if found.found.is_empty() => Err(failed("read", path, &e)),
        Err(_) => {
            let mut out = Vec::with_capacity(len);
            while out.len() < len {
                let at = offset + out.len() as u64;
                let step = crate::format::parity::CHUNK_BYTES.min(len - out.len());
                let again = found.found.iter().any(|(found, bytes)| *found <= at && at < found + bytes.len() as u64);
                let piece = if again { Ok(vec![0; step]) } else { read(step, at) };
                out.extend(piece.map_err(|e: std::io::Error| failed("read", path, &e))?);
            }
            Ok(out)
        }
        Ok(bytes) => Ok(bytes),
    }
}

/// Reads a copy again: what is built on is what stands in it.
fn verify(disk: &dyn Disk, aside: &Path, sidecar: &Sidecar, found: &Damage, check: &Check<'_>) -> Result<()> {
    let file = disk.open(aside).map_err(|e| failed("open", aside, &e))?;
    let left = damage(&*file, aside, sidecar, Unreadable::Error)?;
    if !left.is_none() || left.covered != found.covered {
        let detail = format!("{}: what was written is not what is read: look at the disk", aside.display());
        return Err(Error::new(Reason::DataCorrupt, detail));
    }
    check(aside)
}

/// Puts the healed copy of a file in its place. Returns the name that the damaged one has now.
pub fn put_in_place(disk: &dyn Disk, path: &Path) -> Result<PathBuf> {
    let mut kept = None;
    for n in 1..=DAMAGED_MAX {
        let name = with_suffix(path, &format!(".damaged-{n}"));
        if !is_there(disk, &name)? {
            kept = Some(name);
            break;
        }
    }
    let kept = kept.ok_or_else(|| {
        let detail = format!("{}: {DAMAGED_MAX} damaged files of that name are kept: remove some", path.display());
        Error::new(Reason::ReadFailed, detail)
    })?;
    disk.rename(path, &kept).map_err(|e| failed("rename", path, &e))?;
    sync_directory_of(disk, path)?;
    take_place(disk, path)?;
    Ok(kept)
}

fn take_place(disk: &dyn Disk, path: &Path) -> Result<()> {
    let healed = with_suffix(path, ".healed");
    disk.rename(&healed, path).map_err(|e| failed("rename", &healed, &e))?;
    sync_directory_of(disk, path)
}

/// Ends what a crash cut off: healed copies whose files are kept aside already take their places; others, and unfinished
/// ones, are removed, and made again when they are needed.
pub fn finish_swaps(disk: &dyn Disk, directory: &Path) -> Result<()> {
    for name in disk.list(directory).map_err(|e| failed("list", directory, &e))? {
        if let Some(of) = name.strip_suffix(".healed") {
            let path = directory.join(of);
            if is_there(disk, &path)? {
                discard(disk, &directory.join(&name));
            } else {
                tracing::warn!(path = %path.display(), "a healed file takes its place");
                take_place(disk, &path)?;
            }
        } else if name.ends_with(".healed-tmp") {
            discard(disk, &directory.join(&name));
        }
    }
    Ok(())
}
