//! Who the store is: `STORE`, and its copy.

use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

use super::open::Paths;
use crate::format::StoreId;
use crate::format::header::{FileKind, HEADER_BYTES, Header, is_sound};
use crate::io::{Disk, Env, failed, read_up_to};

/// The store's identity, made on the first open. Of two files one is enough; the other is made again from it, the copy by
/// [`second_copy`].
pub fn identity(env: &Env, paths: &Paths) -> Result<StoreId> {
    let disk = &*env.disk;
    let (path, copy) = (&paths.store, &paths.store_copy());
    let first = read(disk, path)?;
    let second = match read(disk, copy) {
        Err(e) if first.is_none() => return Err(e),
        other => other.unwrap_or(None),
    };
    match (&first, &second) {
        (Some(bytes), Some(other)) if is_sound(bytes) && is_sound(other) && bytes != other => {
            let ids = [
                Header::decode(bytes, FileKind::Store, None, path)?,
                Header::decode(other, FileKind::Store, None, copy)?,
            ];
            let detail = format!(
                "{}: belongs to store {:?}, {} to store {:?}; nothing was changed: the other files tell which is right",
                path.display(),
                ids[0].store,
                copy.display(),
                ids[1].store
            );
            Err(Error::new(Reason::WrongStore, detail))
        }
        (Some(bytes), _) if is_sound(bytes) => Ok(Header::decode(bytes, FileKind::Store, None, path)?.store),
        (first, Some(other)) if is_sound(other) => {
            let store = Header::decode(other, FileKind::Store, None, copy)?.store;
            if first.is_some() {
                keep_damaged(disk, path)?;
            }
            tracing::warn!(path = %path.display(), "the store's identity is taken from its copy");
            put(disk, path, other)?;
            Ok(store)
        }
        // Says what is wrong with it.
        (Some(bytes), _) => Ok(Header::decode(bytes, FileKind::Store, None, path)?.store),
        (None, _) => begin(env, paths),
    }
}

/// Makes the copy, unless it is there. It is made when the log has begun: it tells that there was one. Without room for it
/// the store opens all the same.
pub fn second_copy(disk: &dyn Disk, paths: &Paths) {
    let copy = &paths.store_copy();
    let made = match read(disk, copy) {
        Ok(Some(bytes)) if is_sound(&bytes) => Ok(()),
        _ => read(disk, &paths.store).and_then(|bytes| bytes.map_or(Ok(()), |bytes| put(disk, copy, &bytes))),
    };
    made.unwrap_or_else(|e| tracing::warn!(error = %e, "the store's identity has no second copy"));
}

/// A log without a file is that of a new store, unless anything else says that there was one.
pub fn has_no_log(disk: &dyn Disk, paths: &Paths) -> Result<()> {
    let copy = paths.store_copy();
    let is_begun = disk.exists(&copy).map_err(|e| failed("open", &copy, &e))?;
    let Some(there) = is_begun.then_some(copy).map_or_else(|| anything(disk, paths), |copy| Ok(Some(copy)))? else {
        return Ok(());
    };
    let detail = format!(
        "{}: the log has no file, yet {} is there: acknowledged data is missing; nothing was changed: restore the files \
         of the log",
        paths.log.display(),
        there.display()
    );
    Err(Error::new(Reason::WrongStore, detail))
}

/// Something of a store, if there is anything.
fn anything(disk: &dyn Disk, paths: &Paths) -> Result<Option<PathBuf>> {
    for directory in [&paths.log, &paths.events, &paths.snapshots] {
        let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
        if let Some(name) = names.first() {
            return Ok(Some(directory.join(name)));
        }
    }
    Ok(None)
}

/// The identity of a directory that has no file of a store.
fn begin(env: &Env, paths: &Paths) -> Result<StoreId> {
    let (disk, path) = (&*env.disk, &paths.store);
    let is_there = |path: &Path| disk.exists(path).map_err(|e| failed("open", path, &e));
    let mut there = anything(disk, paths)?;
    for metadata in [paths.meta.clone(), paths.kept()] {
        there = if is_there(&metadata)? { Some(metadata) } else { there };
    }
    if let Some(there) = there {
        let detail = format!(
            "{} is missing, yet {} is there; nothing was changed: restore it, or its copy",
            path.display(),
            there.display()
        );
        return Err(Error::new(Reason::WrongStore, detail));
    }
    let mut id = [0; 16];
    env.entropy.fill(&mut id).map_err(|e| failed("open", path, &e))?;
    let store = StoreId(id);
    put(disk, path, &Header { kind: FileKind::Store, store, number: 0, base: 0, chain: 0 }.encode())?;
    Ok(store)
}

/// The bytes of a file, if it is there.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |e: std::io::Error| failed("open", path, &e);
    if !disk.exists(path).map_err(fail)? {
        return Ok(None);
    }
    let file = disk.open(path).map_err(fail)?;
    read_up_to(&*file, HEADER_BYTES, 0).map(Some).map_err(fail)
}

/// What is damaged stays, for whoever wants to look.
fn keep_damaged(disk: &dyn Disk, path: &Path) -> Result<()> {
    let kept = path.with_extension("damaged");
    disk.rename(path, &kept).map_err(|e| failed("rename", path, &e))
}

/// Writes a file aside and renames it, so that half of it is never seen.
fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("tmp");
    let fail = |e: std::io::Error| failed("write", &aside, &e);
    if disk.exists(&aside).map_err(fail)? {
        disk.remove(&aside).map_err(fail)?;
    }
    let file = disk.create(&aside).map_err(fail)?;
    file.write_all_at(bytes, 0).map_err(fail)?;
    file.sync().map_err(fail)?;
    disk.rename(&aside, path).map_err(fail)?;
    let parent = path.parent().unwrap_or(path);
    disk.sync_directory(parent).map_err(fail)
}
