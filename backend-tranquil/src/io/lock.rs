//! One process per directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

/// Holds a directory for one engine until it is dropped, or the process ends in whatever way.
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Reason::Locked`], at once, if another process holds it; the detail says which.
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("LOCK");
        let failed = |e: std::io::Error| super::failed("lock", &path, &e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file, directory)),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Who holds it is a courtesy: on a full disk the store opens without it.
        if let Err(e) = sign(&mut file) {
            tracing::warn!(path = %path.display(), error = %e, "the process is not named in the lock");
        }
        Ok(Self { file, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Said, and not left to the descriptor's end: a process that somebody is just starting has a copy of it for a moment,
        // and the lock is the file's.
        if let Err(e) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), error = %e, "the lock goes when the process ends");
        }
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "pid {}", std::process::id())
}

fn held(file: &mut File, directory: &Path) -> Error {
    let mut holder = String::new();
    // Who holds it is a courtesy: an unreadable name changes nothing.
    if file.read_to_string(&mut holder).is_err() || holder.trim().is_empty() {
        holder = "another process".into();
    }
    let detail = format!(
        "{} is in use by {}: stop that process first, or give this one another directory; nothing was changed",
        directory.display(),
        holder.trim()
    );
    Error::new(Reason::Locked, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As between the fork and the exec of a child that has nothing to do with the store.
    #[test]
    fn a_copy_of_the_descriptor_keeps_no_lock() {
        let directory = tempfile::tempdir().expect("a directory");
        let lock = DirectoryLock::take(directory.path()).expect("nobody has it");
        let copy = lock.file.try_clone().expect("a copy");
        assert_eq!(DirectoryLock::take(directory.path()).map(drop).expect_err("taken").reason(), Reason::Locked);
        drop(lock);
        drop(DirectoryLock::take(directory.path()).expect("it was let go"));
        drop(copy);
    }
}
