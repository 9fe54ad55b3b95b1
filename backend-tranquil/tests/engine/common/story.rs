//! A store with a little of everything in it, and what to compare after harm was done to its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Backend, Error, IdempotencyKey, Maintenance, Mutation, Op, Row, RowKind, SnapshotItem, Writes};
use backend_tranquil::io::Env;
use backend_tranquil::{Options, Tranquil};
use conformance::scene::{SceneRepo, Write, content, did, path};
use conformance::{create_account, snapshot};

/// Small sizes, so that a story fills several files of each sort.
pub fn small(directory: &Path) -> Options {
    let mut options = Options::new(directory);
    options.log_file_bytes = 16 << 10;
    options.segment_bytes = 8 << 10;
    options.memtable_bytes_max = 1 << 20;
    options.cache_bytes = 1 << 20;
    options.hot_bytes = 1 << 10;
    options.ring_bytes = 1 << 10;
    options.reader_threads = 1;
    options
}

/// One file of each sort, so that all of the log is replayed.
pub fn roomy(directory: &Path) -> Options {
    Options { log_file_bytes: 1 << 20, segment_bytes: 1 << 20, ..small(directory) }
}

pub fn key(n: u64) -> IdempotencyKey {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&n.to_be_bytes());
    IdempotencyKey(key)
}

/// Writes that follow each other: account, rows and commits of one person.
pub struct Person {
    pub repo: SceneRepo,
    pub next: u64,
}

impl Person {
    pub async fn create(store: &dyn Backend, word: &str, first_key: u64) -> Result<Self, Error> {
        let person = did(word);
        let mut row = Row::new(RowKind::Session, word.as_bytes(), b"a session".to_vec());
        row.owner = Some(person.clone());
        row.unique = vec![format!("token of {word}").into_bytes()];
        let ops = vec![create_account(word), Op::PutRow { row, expect: backend_api::Expect::Absent }];
        let mutation = Mutation { did: person.clone(), key: key(first_key), ops, blocks: Vec::new() };
        store.apply(mutation).await?;
        Ok(Self { repo: SceneRepo::new(person), next: first_key + 1 })
    }

    /// One commit with one record.
    pub async fn post(&mut self, store: &(impl Writes + ?Sized), text: &str) -> Result<backend_api::Receipt, Error> {
        let write = Write::Put(path(&format!("com.example.note/{}", self.next % 7)), content(text));
        let draft = self.repo.draft(&[write]);
        let mutation = draft.mutation(key(self.next));
        self.next += 1;
        let receipt = store.apply(mutation).await?;
        self.repo = draft.after;
        Ok(receipt)
    }
}

/// Three people and some sixty commits.
pub async fn write_story(store: &dyn Backend, commits: u64) {
    let mut people = Vec::new();
    for (i, word) in ["alice", "bob", "carol"].into_iter().enumerate() {
        people.push(Person::create(store, word, 1_000_000 * i as u64).await.unwrap());
    }
    for i in 0..commits {
        people[(i % 3) as usize].post(store, &format!("note {i}")).await.unwrap();
    }
}

/// A closed store with a story in it, and everything that it holds.
pub async fn closed_story(options: Options, commits: u64) -> Vec<SnapshotItem> {
    let store = Tranquil::open(options).unwrap();
    write_story(&*store, commits).await;
    let items = snapshot(&*store).await.unwrap();
    store.close().await.unwrap();
    items
}

/// A store as a kill leaves it: its files copied while it is open.
pub async fn killed_story(options: impl Fn(&Path) -> Options, commits: u64) -> (tempfile::TempDir, Vec<SnapshotItem>) {
    let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Tranquil::open(options(live.path())).unwrap();
    write_story(&*store, commits).await;
    // Whoever writes is answered before the event is in its file.
    let waits = |stats: backend_api::Stats| stats.counters.iter().any(|(n, v)| n == "events_waiting_bytes" && *v > 0);
    while waits(store.stats().await.unwrap()) {}
    copy(live.path(), dead.path());
    let items = snapshot(&*store).await.unwrap();
    (dead, items)
}

/// Opens, reads everything, closes.
pub async fn read_all(options: Options) -> Result<Vec<SnapshotItem>, Error> {
    read_all_in(Env::real(), options).await
}

pub async fn read_all_in(env: Env, options: Options) -> Result<Vec<SnapshotItem>, Error> {
    let store: Arc<Tranquil> = Tranquil::open_in(env, options)?;
    let items = snapshot(&*store).await;
    // A store that stopped says so again at its end; what it served counts.
    drop(store.close().await);
    items
}

/// Everything below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Copies everything below a directory, as it is at one moment: once more if anything changed meanwhile, for whoever has the
/// store open also works in the background.
pub fn copy(from: &Path, to: &Path) {
    let is_copied = (0..1_000).any(|_| {
        let (before, mut copied) = (names_and_times(from), Vec::new());
        let is_there = before.iter().all(|(path, ..)| {
            let target = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            copied.push(target.clone());
            fs::copy(path, target).is_ok()
        });
        let is_whole = is_there && names_and_times(from) == before;
        if !is_whole {
            copied.iter().for_each(|file| drop(fs::remove_file(file)));
        }
        is_whole
    });
    assert!(is_copied, "{} does not come to rest", from.display());
}

fn names_and_times(directory: &Path) -> Vec<(PathBuf, Option<(u64, std::time::SystemTime)>)> {
    let facts = |path: &Path| fs::metadata(path).and_then(|m| Ok((m.len(), m.modified()?))).ok();
    files(directory).into_iter().map(|path| (path.clone(), facts(&path))).collect()
}

/// Files of one sort, by ending.
pub fn with_ending(directory: &Path, ending: &str) -> Vec<PathBuf> {
    files(directory).into_iter().filter(|p| p.extension().is_some_and(|e| e == ending)).collect()
}
