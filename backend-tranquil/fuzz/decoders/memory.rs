//! Files in memory, which know how much was asked of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::io::{Disk, File, Map};

/// What may be asked for at once beyond what a file has: more would be a length that nobody checked.
const BEYOND_BYTES_MAX: usize = 1 << 20;

type Names = BTreeMap<PathBuf, Arc<MemoryFile>>;

/// The disk.
#[derive(Default)]
pub struct Memory(Mutex<Names>);

#[derive(Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl Memory {
    pub fn new(files: &[(&str, Vec<u8>)]) -> Arc<Self> {
        let file =
            |(path, bytes): &(&str, Vec<u8>)| (PathBuf::from(path), Arc::new(MemoryFile(Mutex::new(bytes.clone()))));
        Arc::new(Self(Mutex::new(files.iter().map(file).collect())))
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        self.names().get(path).map(|file| file.bytes().clone())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().expect("no panic under this lock")
    }
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("no panic under this lock")
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Memory {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.names().get(path).map(Arc::clone);
        file.map(|file| file as Arc<dyn File>).ok_or_else(missing)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = Arc::<MemoryFile>::default();
        match self.names().insert(path.to_owned(), Arc::clone(&file)) {
            None => Ok(file),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names();
        let file = names.remove(from).ok_or_else(missing)?;
        names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.names().remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.names().retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = self.names();
        let inside = names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.names().keys().any(|name| name.starts_with(path)))
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        assert!(buf.len() <= bytes.len() + BEYOND_BYTES_MAX, "{} bytes asked of a file of {}", buf.len(), bytes.len());
        let there = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let len = there.len().min(buf.len());
        buf[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let at = offset as usize;
        let end = bytes.len().max(at + buf.len());
        bytes.resize(end, 0);
        bytes[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes().resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let len = bytes.len().max(len as usize);
        bytes.resize(len, 0);
        Ok(())
    }

    fn map(&self, _: u64) -> io::Result<Option<Map>> {
        Ok(None)
    }
}
