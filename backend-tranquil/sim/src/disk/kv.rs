//! The simulated key-value store: a map that takes in whole runs, and loses exactly what its contract allows.
//!
//! As with the real one, an error of a run may be a lie: the run is on disk, and shows when the store is opened again, or at
//! once. Opening again waits for those who read an older state, and may fail.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use backend_api::{Error, Reason, Result};
use backend_tranquil::stepped::{MetaKv, MetaSnapshot, Pairs as Iter};
use bytes::Bytes;

use super::SimDisk;
use super::calls::make_directory;
use super::fault::{Call, Fault};
use super::node::{Inode, KvNode, Node};
use super::pairs::{Change, Pairs};
use super::state::{State, missing, off};

pub(super) const NAME: &str = "kv";

/// A store in a directory of the simulated disk.
pub struct SimKv {
    disk: SimDisk,
    inode: Inode,
    boot: u64,
    /// What this opening knows of; snapshots have the one that they are of. None while it cannot be opened again.
    handle: Mutex<Option<Arc<Handle>>>,
    /// An error left something undone, or the work in the background is dead.
    is_hurt: AtomicBool,
    is_sparing: AtomicBool,
}

#[derive(Default)]
struct Handle {
    pairs: Mutex<Pairs>,
    is_closed: AtomicBool,
}

struct SimSnapshot {
    disk: SimDisk,
    pairs: Pairs,
    handle: Arc<Handle>,
}

impl Handle {
    fn of(pairs: Pairs) -> Arc<Self> {
        Arc::new(Self { pairs: Mutex::new(pairs), is_closed: AtomicBool::new(false) })
    }

    fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.pairs.lock().expect("no panic under this lock")
    }
}

fn failed(what: &str, e: &io::Error) -> Error {
    let reason = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::StorageFull,
        _ => Reason::ReadFailed,
    };
    Error::new(reason, format!("metadata store: {what}: {e}"))
}

fn closed() -> Error {
    Error::new(Reason::Closed, "the store was closed")
}

impl SimKv {
    /// Opens the store in a directory that is there, or creates it in one that is not.
    ///
    /// # Errors
    /// [`Reason::DataCorrupt`] for a directory that was removed in part; errors of the disk.
    pub fn open(disk: &SimDisk, path: &Path) -> Result<Self> {
        let opened = disk.call(Call::OpenKv, 7, false, |state, fault| {
            let there = state.find(path);
            match fault {
                // One that is not there yet cannot be damaged.
                Some(Fault::Damaged) if there.is_err() => state.faults.uncount(Fault::Damaged),
                Some(Fault::Damaged) => return Ok((None, state.boot)),
                Some(fault) => return Err(fault.error()),
                None => {}
            }
            match there {
                Ok(directory) => Ok((state.directory(directory)?.live.get(NAME).copied(), state.boot)),
                Err(_) => create(state, path).map(|inode| (Some(inode), state.boot)),
            }
        });
        let (found, boot) = opened.map_err(|e| failed("open", &e))?;
        let Some(inode) = found else {
            return Err(Error::new(Reason::DataCorrupt, format!("metadata store: {}: damaged", path.display())));
        };
        let pairs = tidied(&mut disk.state(), inode);
        Ok(Self {
            disk: disk.clone(),
            inode,
            boot,
            handle: Mutex::new(Some(Handle::of(pairs))),
            is_hurt: AtomicBool::new(false),
            is_sparing: AtomicBool::new(false),
        })
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Handle>>> {
        self.handle.lock().expect("no panic under this lock")
    }

    fn handle(&self) -> Option<Arc<Handle>> {
        self.slot().clone().filter(|handle| !handle.is_closed.load(Ordering::SeqCst))
    }

    /// Takes a run in on disk; what this opening then knows.
    fn take(&self, state: &mut State, fault: Option<Fault>, known: &Pairs, run: &[Change]) -> io::Result<Pairs> {
        if self.boot != state.boot {
            return Err(off());
        }
        let is_sparing = self.is_sparing.load(Ordering::SeqCst);
        let wanted = run.iter().map(|(key, value)| (key.len() + value.as_ref().map_or(0, Vec::len)) as u64).sum();
        let is_done = matches!(fault, None | Some(Fault::IngestDone | Fault::IngestFullDone | Fault::Compaction));
        let bytes = if is_done { wanted } else { state.rng.below(wanted + 1) };
        let taken = state.take_space(bytes);
        let shows = state.rng.one_in(2);
        let Some(Node::Kv(kv)) = state.nodes.get_mut(&self.inode) else { return Err(missing()) };
        // What an error leaves takes space until the next open.
        kv.allocated += taken;
        if taken < bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !is_done {
            return Err(fault.map_or_else(missing, Fault::error));
        }
        let merged = known.with(run);
        kv.pairs = merged.clone();
        match fault {
            Some(Fault::IngestDone | Fault::IngestFullDone) => {
                if shows && let Some(handle) = self.handle() {
                    *handle.pairs() = merged;
                }
                return Err(fault.map_or_else(missing, Fault::error));
            }
            Some(_) => self.is_hurt.store(true, Ordering::SeqCst),
            None if !is_sparing => drop(tidied(state, self.inode)),
            None => {}
        }
        Ok(merged)
    }
}

/// What lies about is removed, and what is not needed compacted.
fn tidied(state: &mut State, inode: Inode) -> Pairs {
    let Some(Node::Kv(kv)) = state.nodes.get_mut(&inode) else { return Pairs::default() };
    let freed = kv.allocated.saturating_sub(kv.pairs.bytes());
    kv.allocated -= freed;
    let pairs = kv.pairs.clone();
    state.give_space(freed);
    pairs
}

/// What a new store makes in its own directory is durable; its directory's name is the engine's affair.
fn create(state: &mut State, path: &Path) -> io::Result<Inode> {
    let directory = make_directory(state, path)?;
    let inode = state.add(Node::Kv(KvNode::default()));
    state.change_names(directory, vec![(NAME.to_owned(), Some(inode))])?;
    state.directory(directory)?.sync();
    Ok(inode)
}

impl MetaKv for SimKv {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let handle = self.handle().ok_or_else(closed)?;
        let run: Vec<_> = run.collect();
        if let Some(pair) = run.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::new(Reason::DataCorrupt, format!("a run that is not sorted: {pair:?}")));
        }
        let known = handle.pairs().clone();
        let taken = self.disk.call(Call::Ingest, run.len() as u64, false, |state, fault| {
            let was_cut = state.is_off;
            let merged = self.take(state, fault, &known, &run)?;
            if was_cut { Err(off()) } else { Ok(merged) }
        });
        match taken {
            Ok(merged) => {
                *handle.pairs() = merged;
                Ok(())
            }
            Err(e) => {
                self.is_hurt.store(true, Ordering::SeqCst);
                Err(failed("ingest", &e))
            }
        }
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        let handle = self.slot().clone().unwrap_or_else(|| {
            let none = Handle::default();
            none.is_closed.store(true, Ordering::SeqCst);
            Arc::new(none)
        });
        let pairs = handle.pairs().clone();
        Arc::new(SimSnapshot { disk: self.disk.clone(), pairs, handle })
    }

    fn disk_bytes(&self) -> u64 {
        match self.disk.state().nodes.get(&self.inode) {
            Some(Node::Kv(kv)) => kv.pairs.bytes(),
            _ => 0,
        }
    }

    fn is_worn(&self, sparing: bool) -> bool {
        self.is_hurt.load(Ordering::SeqCst) || self.is_sparing.load(Ordering::SeqCst) != sparing
    }

    fn reopen(&self, sparing: bool) -> Result<bool> {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|handle| Arc::strong_count(handle) > 1) {
            return Ok(false);
        }
        *slot = None;
        self.is_hurt.store(true, Ordering::SeqCst);
        drop(slot);
        let opened = self.disk.call(Call::Reopen, 0, true, |state, fault| {
            fault.map_or(Ok(()), |fault| Err(fault.error()))?;
            if self.boot != state.boot {
                return Err(off());
            }
            Ok(tidied(state, self.inode))
        });
        let pairs = opened.map_err(|e| failed("open again", &e))?;
        *self.slot() = Some(Handle::of(pairs));
        self.is_sparing.store(sparing, Ordering::SeqCst);
        self.is_hurt.store(false, Ordering::SeqCst);
        Ok(true)
    }

    fn close(&self) {
        if let Some(handle) = &*self.slot() {
            handle.is_closed.store(true, Ordering::SeqCst);
        }
    }
}

impl SimSnapshot {
    fn check(&self) -> Result<()> {
        if self.handle.is_closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let mut state = self.disk.state();
        if state.is_off {
            return Err(failed("get", &off()));
        }
        let State { faults, rng, calls, .. } = &mut *state;
        // A look-up is no call of its own: a crash within it is one before the next call.
        match faults.draw(Call::Get, *calls, rng) {
            Some(fault) => Err(failed("get", &fault.error())),
            None => Ok(()),
        }
    }
}

impl MetaSnapshot for SimSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.check()?;
        Ok(self.pairs.get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Iter<'_> {
        if let Err(e) = self.check() {
            return Box::new(std::iter::once(Err(e)));
        }
        Box::new(self.pairs.range(from, to, reverse).map(Ok))
    }
}
