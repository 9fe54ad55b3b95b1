//! Checks of Fjall's own files that Fjall 3.1 leaves out, made before it opens them.
//!
//! It takes a database without its journal for one to which nothing was written yet, and numbers what comes from the first
//! number on: older states lie over all of it. Ours is empty and looks like rubbish, and still it is there from the first
//! day on.
//!
//! Two of its formats are read without being checked. The manifest of a keyspace (`keyspaces/N/vM`) has its checksum in
//! `keyspaces/N/current`, which nobody compares: a flipped table number would be another state of the metadata. And the
//! table of contents of a file is allocated by its length field before its checksum is compared: a flipped bit there
//! asks for gigabytes and ends the process. Everything else in its tables has checksums that it does compare.

use std::path::Path;

use backend_api::{Error, Reason, Result};
use xxhash_rust::xxh3::xxh3_128;

use crate::io::{Disk, failed, read_exact_at, read_up_to};

/// `current`: version (u64), checksum of that version's file (u128), kind of checksum (u8, 0).
const CURRENT_BYTES: usize = 8 + 16 + 1;
/// The end of a file with a table of contents: magic `SFA!`, version, kind of checksum, checksum (u128), offset and
/// length of the table of contents (u64, u64).
const TRAILER_BYTES: usize = 4 + 1 + 1 + 16 + 8 + 8;
/// A manifest or table of contents is never larger.
const READ_BYTES_MAX: u64 = 1 << 30;

/// Checks that a database has its journal, and the manifests and tables of contents below its directory.
///
/// # Errors
/// [`Reason::DataCorrupt`] with the file.
pub fn check(disk: &dyn Disk, database: &Path) -> Result<()> {
    let keyspaces = database.join("keyspaces");
    if !exists(disk, &keyspaces)? {
        return Ok(());
    }
    let names = list(disk, database)?;
    for (what, ends) in [("journal", ".jnl"), ("version", "version")] {
        if !names.iter().any(|name| name.ends_with(ends)) {
            let detail = format!("{}: the {what} is missing", database.display());
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
    }
    for name in list(disk, &keyspaces)? {
        let keyspace = keyspaces.join(name);
        // They are all made with the database, before it has its name.
        if !exists(disk, &keyspace.join("current"))? {
            let detail = format!("{}: the name of its manifest is missing", keyspace.display());
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        manifest(disk, &keyspace)?;
        let tables = keyspace.join("tables");
        if exists(disk, &tables)? {
            for table in list(disk, &tables)? {
                contents(disk, &tables.join(table))?;
            }
        }
    }
    Ok(())
}

fn manifest(disk: &dyn Disk, keyspace: &Path) -> Result<()> {
    let current = keyspace.join("current");
    let bytes = read(disk, &current)?;
    let bad = || Error::new(Reason::DataCorrupt, format!("{}: fails its check", current.display()));
    if bytes.len() != CURRENT_BYTES || bytes[CURRENT_BYTES - 1] != 0 {
        return Err(bad());
    }
    let version = u64::from_le_bytes(bytes[..8].try_into().map_err(|_| bad())?);
    let checksum = u128::from_le_bytes(bytes[8..24].try_into().map_err(|_| bad())?);
    let path = keyspace.join(format!("v{version}"));
    if !exists(disk, &path)? || xxh3_128(&read(disk, &path)?) != checksum {
        let detail = format!("{}: missing, or fails the check in {}", path.display(), current.display());
        return Err(Error::new(Reason::DataCorrupt, detail));
    }
    contents(disk, &path)
}

/// A file that does not end as it should is one that a crash left behind, or one that Fjall refuses by itself.
fn contents(disk: &dyn Disk, path: &Path) -> Result<()> {
    let fail = |e: std::io::Error| failed("read", path, &e);
    let file = disk.open(path).map_err(fail)?;
    let len = file.len().map_err(fail)?;
    let Some(start) = len.checked_sub(TRAILER_BYTES as u64) else { return Ok(()) };
    let trailer = read_exact_at(&*file, TRAILER_BYTES, start).map_err(fail)?;
    if trailer[..4] != *b"SFA!" {
        return Ok(());
    }
    let (Ok(checksum), Ok(offset), Ok(bytes)) =
        (trailer[6..22].try_into(), trailer[22..30].try_into(), trailer[30..38].try_into())
    else {
        return Ok(());
    };
    let (offset, bytes) = (u64::from_le_bytes(offset), u64::from_le_bytes(bytes));
    let sound = offset.checked_add(bytes) == Some(start) && bytes <= READ_BYTES_MAX && {
        let toc = read_exact_at(&*file, bytes as usize, offset).map_err(fail)?;
        xxh3_128(&toc) == u128::from_le_bytes(checksum)
    };
    if sound {
        return Ok(());
    }
    let detail = format!("{}: offset {offset}: the table of contents fails its check", path.display());
    Err(Error::new(Reason::DataCorrupt, detail))
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| failed("read", path, &e);
    let file = disk.open(path).map_err(fail)?;
    let len = file.len().map_err(fail)?.min(READ_BYTES_MAX);
    read_up_to(&*file, len as usize, 0).map_err(fail)
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool> {
    disk.exists(path).map_err(|e| failed("look at", path, &e))
}

fn list(disk: &dyn Disk, path: &Path) -> Result<Vec<String>> {
    disk.list(path).map_err(|e| failed("list", path, &e))
}
