//! A full disk: what adds is refused, what takes away goes on, from a reserve.
//!
//! The store is *full* from the first time that anything finds no space. Ordinary mutations are refused from then on,
//! before anything is planned or written. What [`goes_on`] and the maintenance steps have three sources of room, in this
//! order: the preallocated rest of the newest log file, of which ordinary cycles leave the last part; what is free on the
//! disk; and the file `reserve`, which is given up when there is nothing else. The store is full until the reserve is
//! whole again with something to spare, all events are in their segments, and nothing waits to be drained.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backend_api::{Error, Mutation, Op, Reason, Result, Row, RowKind};

use super::open::{OpenKv, Opened};
use super::shared::Shared;
use crate::io::{Disk, Env, discard, failed, is_short};
use crate::options::Options;

/// The reserve is this part of a log file, but never less than its minimum.
const RESERVE_PART: u64 = 4;
const RESERVE_BYTES_MIN: u64 = 64 << 10;
/// This part of the reserve is what ordinary cycles leave of the log's room, and what must be free beside the reserve.
const KEPT_PART: u64 = 4;
/// Body of a row that a full disk takes at the most.
const ROW_BODY_BYTES_MAX: usize = 4 << 10;

static CHUNK: [u8; 64 << 10] = [0x5a; 64 << 10];

/// Whether there is space, and the reserve.
pub struct Space {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    reserve_bytes: u64,
    /// Bytes that the reserve has now.
    reserve: Mutex<u64>,
    full: AtomicBool,
    /// What found no space first.
    cause: Mutex<String>,
    /// Drains begun, the newest of them that found no space, and the newest that ended.
    drains: AtomicU64,
    drain_failed: AtomicU64,
    drain_ended: AtomicU64,
}

/// Bytes of the newest log file's room that ordinary cycles leave.
pub fn log_bytes_kept(options: &Options) -> u64 {
    reserve_bytes(options) / KEPT_PART
}

fn reserve_bytes(options: &Options) -> u64 {
    (options.log_file_bytes / RESERVE_PART).max(RESERVE_BYTES_MIN)
}

/// True if a mutation is taken although the disk is full: every operation of it takes something away, or is needed by
/// those who want to.
///
/// - deletes: of accounts, records (commits that delete records and do nothing else), rows, blobs, imports; purges;
/// - statuses and announcements: a takedown cannot wait for a disk, and a deletion is announced;
/// - rows by which somebody proves who they are, if they expire by themselves and are small: without them nobody could
///   sign in to delete anything.
pub fn goes_on(mutation: &Mutation) -> bool {
    mutation.ops.iter().all(|op| match op {
        Op::DeleteAccount | Op::SetStatus(_) | Op::AbandonImport { .. } | Op::DeleteBlob(_) => true,
        Op::DeleteRow { .. } | Op::TakeRow(_) | Op::Emit(_) | Op::Purge => true,
        Op::Commit(commit) => !commit.records.is_empty() && commit.records.iter().all(|record| record.new.is_none()),
        Op::PutRow { row, .. } => proves_identity(row),
        _ => false,
    })
}

fn proves_identity(row: &Row) -> bool {
    use RowKind::{EmailToken, OauthRequest, OauthToken, RefreshToken, Session};
    let kinds = [Session, RefreshToken, EmailToken, OauthRequest, OauthToken];
    kinds.contains(&row.key.kind) && row.expires_at.is_some() && row.body.len() <= ROW_BODY_BYTES_MAX
}

/// Opens a store. One that finds no space is opened once more with its reserve given up.
///
/// # Errors
/// As [`super::open::open`].
pub fn open(env: Env, options: Options, open_kv: &OpenKv) -> Result<Opened> {
    match super::open::open(env.clone(), options.clone(), open_kv) {
        Err(e) if e.reason() == Reason::StorageFull => {
            let space = Space::new(&env, &options);
            space.short(&e);
            if space.give_up() { super::open::open(env, options, open_kv) } else { Err(e) }
        }
        other => other,
    }
}

impl Space {
    /// Touches nothing yet.
    pub fn new(env: &Env, options: &Options) -> Self {
        Self {
            disk: Arc::clone(&env.disk),
            directory: options.directory.clone(),
            reserve_bytes: reserve_bytes(options),
            reserve: Mutex::new(0),
            full: AtomicBool::new(false),
            cause: Mutex::default(),
            drains: AtomicU64::new(0),
            drain_failed: AtomicU64::new(0),
            drain_ended: AtomicU64::new(0),
        }
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Something found no space.
    pub fn short(&self, error: &Error) {
        if !self.full.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the disk is full: only what takes away is taken until there is space");
            error.detail().clone_into(&mut self.cause.lock().expect("no panic under this lock"));
        }
    }

    /// The answer to what is not taken now.
    pub fn refusal(&self) -> Error {
        let cause = self.cause.lock().expect("no panic under this lock");
        let detail = format!(
            "{}: the disk is full ({cause}); nothing was written; reads and deletes go on: free space, and try again",
            self.directory.display()
        );
        Error::new(Reason::StorageFull, detail)
    }

    /// Bytes that the reserve has.
    pub fn reserve(&self) -> u64 {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.reserve.lock().expect("no panic under this lock")
    }

    fn path(&self) -> PathBuf {
        self.directory.join("reserve")
    }

    fn room(&self) -> PathBuf {
        self.directory.join("room.tmp")
    }

    /// Makes the reserve, or takes over the one that is there. Without it the store begins full.
    pub fn begin(&self) {
        discard(&*self.disk, &self.room());
        if let Ok(len) = self.disk.open(&self.path()).and_then(|file| file.len()) {
            *self.lock() = len.min(self.reserve_bytes);
        }
        if let Err(e) = self.claim(0) {
            self.short(&e);
        }
    }

    /// Makes the reserve whole again, if there is room for it and some more: else the next write would find the disk full
    /// again.
    pub fn restore(&self) -> Result<()> {
        self.claim(self.reserve_bytes / KEPT_PART)
    }

    fn claim(&self, more: u64) -> Result<()> {
        let mut reserve = self.lock();
        self.allocate(more).inspect_err(|_| {
            self.cut(*reserve);
        })?;
        *reserve = self.reserve_bytes;
        Ok(())
    }

    fn allocate(&self, more: u64) -> Result<()> {
        let path = self.path();
        let fail = |e: std::io::Error| failed("reserve space in", &path, &e);
        let there = self.disk.exists(&path).map_err(fail)?;
        let file = if there { self.disk.open(&path) } else { self.disk.create(&path) }.map_err(fail)?;
        let wanted = self.reserve_bytes + more;
        file.allocate(wanted).map_err(fail)?;
        // Where nothing can be reserved by asking for it, it is written.
        let mut len = file.len().map_err(fail)?;
        while len < wanted {
            let bytes = CHUNK.len().min((wanted - len) as usize);
            file.write_all_at(&CHUNK[..bytes], len).map_err(fail)?;
            len += bytes as u64;
        }
        file.set_len(self.reserve_bytes).map_err(fail)
    }

    /// Gives the reserve's space back to the disk, for what goes on. False if there is none, or it cannot be had: who tries
    /// again then would try for ever.
    pub fn give_up(&self) -> bool {
        let mut reserve = self.lock();
        let there = *reserve > 0 || self.disk.open(&self.path()).and_then(|f| f.len()).is_ok_and(|len| len > 0);
        *reserve = 0;
        there && self.cut(0)
    }

    /// True if it is that long now.
    fn cut(&self, len: u64) -> bool {
        // Synced: some file systems hand out freed blocks only then.
        let cut = self.disk.open(&self.path()).and_then(|file| file.set_len(len).and_then(|()| file.sync()));
        match &cut {
            Ok(()) => tracing::warn!(len, "the reserve is cut: deletes and collection go on in its space"),
            Err(error) => tracing::warn!(%error, "the reserve cannot be cut"),
        }
        cut.is_ok()
    }

    /// Does what goes on also on a full disk: if it finds no space, once more with the reserve given up.
    pub fn spend<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(e) if e.reason() == Reason::StorageFull => {
                self.short(&e);
                if self.give_up() { work() } else { Err(e) }
            }
            other => other,
        }
    }

    /// Asks whether so many bytes are free, by claiming them for a moment: what cannot take back half of a write is not
    /// begun without.
    pub fn look_for(&self, bytes: u64) -> Result<()> {
        let path = self.room();
        discard(&*self.disk, &path);
        let claimed = self.disk.create(&path).and_then(|file| file.allocate(bytes));
        discard(&*self.disk, &path);
        claimed.map_err(|e| failed("look for space in", &self.directory, &e))
    }

    /// Asks whether a file can be opened: what closes many, to open them again, is not begun without.
    pub fn look_for_descriptor(&self) -> Result<()> {
        let path = self.directory.join("STORE");
        match self.disk.open(&path) {
            Err(e) if is_short(&e) => Err(failed("open", &path, &e)),
            _ => Ok(()),
        }
    }

    /// There is space again.
    pub fn found(&self) {
        self.full.store(false, Ordering::Release);
        tracing::info!("there is space again: writes are taken");
    }

    /// A drain begins; its number.
    pub fn drain_begun(&self) -> u64 {
        self.drains.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// That drain found no space.
    pub fn drain_failed(&self, number: u64) {
        self.drain_failed.store(number, Ordering::Release);
    }

    /// That drain came to its end, and looked whether there is space.
    pub fn drain_ended(&self, number: u64) {
        self.drain_ended.store(number, Ordering::Release);
    }

    /// The newest drain that was begun.
    pub fn drains(&self) -> u64 {
        self.drains.load(Ordering::Acquire)
    }

    /// True if the newest drain found no space: waiting for the next one may take long.
    pub fn is_stuck(&self) -> bool {
        self.drain_failed.load(Ordering::Acquire) > self.drain_ended.load(Ordering::Acquire)
    }

    /// True if a drain that was begun after that one found no space.
    pub fn failed_after(&self, drain: u64) -> bool {
        self.drain_failed.load(Ordering::Acquire) > drain
    }

    /// True if there is space, or a drain that was begun after that one did not find any to spare.
    pub fn was_looked_for_after(&self, drain: u64) -> bool {
        !self.is_full() || self.drain_ended.load(Ordering::Acquire) > drain
    }
}

impl Shared {
    /// Appends the events that wait to the segments. Those that find no space are served from memory until they do.
    pub fn flush_events(&self) -> Result<()> {
        let appended = self.events.flush().or_else(|e| match e.reason() {
            Reason::StorageFull => self.space.spend(|| self.events.flush()),
            _ => Err(e),
        });
        match appended {
            Err(e) if e.reason() == Reason::StorageFull => Ok(()),
            other => other,
        }
    }
}
