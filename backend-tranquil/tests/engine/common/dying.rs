//! A disk that dies at its n-th change, over the real one: from then on every call fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backend_tranquil::io::{Disk, File, Map, RealDisk};

/// Changes that are left.
#[derive(Clone)]
pub struct DyingDisk(pub Arc<AtomicU64>);

struct DyingFile(Arc<dyn File>, DyingDisk);

impl DyingDisk {
    pub fn after(changes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(changes)))
    }

    fn lives(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) == 0 { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }

    fn change(&self) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| io::Error::other("the disk is gone"))
    }

    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(DyingFile(file, self.clone()))
    }
}

impl Disk for DyingDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.lives()?;
        Ok(self.file(RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.change()?;
        Ok(self.file(RealDisk.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.remove(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.remove_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.lives()?;
        RealDisk.list(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.lives()?;
        RealDisk.create_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.sync_directory(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.lives()?;
        RealDisk.exists(path)
    }
}

impl File for DyingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.lives()?;
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if self.1.change().is_err() {
            // Half of it, as a crash would have it.
            self.0.write_all_at(&buf[..buf.len() / 2], offset)?;
            return self.1.lives();
        }
        self.0.write_all_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.change()?;
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.1.lives()?;
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.change()?;
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.1.change()?;
        self.0.allocate(len)
    }
    fn map(&self, len: u64) -> io::Result<Option<Map>> {
        self.1.lives()?;
        self.0.map(len)
    }
}
