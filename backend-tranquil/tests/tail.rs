//! The end of the log: what users wrote cannot pass for what the store wrote, and nothing is built on a copy that is not
//! what was copied (promises P1, P4, P7).

mod common;

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use backend_api::{Reason, SnapshotItem};
use backend_tranquil::Tranquil;
use backend_tranquil::io::{Disk, Env, File, Map, RealDisk};
use common::story::{copy, files, read_all, read_all_in, roomy, with_ending, write_story};
use conformance::digest::difference;
use conformance::snapshot;

const LOG: &str = "log/0000000001.log";

/// A store as a kill leaves it, and what it holds.
async fn killed_story() -> (tempfile::TempDir, Vec<SnapshotItem>) {
    let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Tranquil::open(roomy(live.path())).unwrap();
    write_story(&*store, 9).await;
    copy(live.path(), dead.path());
    (dead, snapshot(&*store).await.unwrap())
}

/// The end of a later cycle at an offset, as far as somebody can make one who knows the format and guesses the numbers.
fn guessed_cycle_end(offset: u64) -> Vec<u8> {
    let mut payload = b"CYCLEEND".to_vec();
    for number in [1_000, offset, offset] {
        payload.extend_from_slice(&u64::to_le_bytes(number));
    }
    payload.extend_from_slice(&[1; 8]);
    let mut rest = (payload.len() as u32).to_le_bytes().to_vec();
    rest.extend_from_slice(&[4, 0, 0, 0]);
    rest.extend_from_slice(&payload);
    [&crc32fast::hash(&rest).to_le_bytes()[..], &rest].concat()
}

/// A torn cycle with such bytes in a record is a torn cycle: else whoever may post could keep the store from opening.
#[tokio::test]
async fn content_that_looks_like_a_later_cycle_is_no_later_cycle() {
    let (dead, before) = killed_story().await;
    let log = dead.path().join(LOG);
    let mut bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    let at = used + 200;
    let forged = guessed_cycle_end(at as u64);
    bytes[at..at + forged.len()].copy_from_slice(&forged);
    fs::write(&log, &bytes).unwrap();
    let after = read_all(roomy(dead.path())).await.unwrap();
    assert_eq!(difference(&before, &after), None);
    let torn = files(&dead.path().join("log")).into_iter().find(|p| p.to_string_lossy().contains("torn-")).unwrap();
    assert_eq!(fs::read(torn).unwrap(), bytes[used..at + forged.len()], "what was cut off is kept to its last byte");
}

/// A disk that changes one byte on its way into files with a name that ends so.
struct Flipping(&'static str);

struct FlippingFile(Arc<dyn File>);

impl Flipping {
    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        if path.to_string_lossy().contains(self.0) { Arc::new(FlippingFile(file)) } else { file }
    }
}

impl Disk for Flipping {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, RealDisk.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
}

impl File for FlippingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = buf.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.0.write_all_at(&bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn map(&self, len: u64) -> io::Result<Option<Map>> {
        self.0.map(len)
    }
}

/// The copy of the newest file, and that of a torn tail, are read again before they count.
#[tokio::test]
async fn a_copy_that_is_not_what_was_copied_is_never_built_on() {
    let (dead, before) = killed_story().await;
    let log = dead.path().join(LOG);
    let mut bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    bytes[used + 10..used + 500].fill(7);
    fs::write(&log, &bytes).unwrap();
    for name in ["0000000001.tmp", "torn-"] {
        let env = Env { disk: Arc::new(Flipping(name)), ..Env::real() };
        let error = read_all_in(env, roomy(dead.path())).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DataCorrupt, "{name}: {error}");
        assert!(error.detail().contains("was not changed"), "{name}: {error}");
        assert_eq!(fs::read(&log).unwrap(), bytes, "{name}: the log is what it was");
    }
    let after = read_all(roomy(dead.path())).await.unwrap();
    assert_eq!(difference(&before, &after), None);
    assert_eq!(with_ending(&dead.path().join("log"), "tmp"), Vec::<std::path::PathBuf>::new());
}
