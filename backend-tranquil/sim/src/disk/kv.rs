//! The simulated key-value store: a map that takes in whole runs, and loses exactly what its contract allows.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backend_api::{Error, Reason, Result};
use backend_tranquil::stepped::{MetaKv, MetaSnapshot, Pairs as Iter};
use bytes::Bytes;

use super::SimDisk;
use super::calls::make_directory;
use super::fault::{Call, Fault};
use super::node::{Inode, Node, Pairs};
use super::state::{State, missing, off};

const NAME: &str = "kv";

/// A store in a directory of the simulated disk.
pub struct SimKv {
    disk: SimDisk,
    inode: Inode,
    boot: u64,
    is_closed: Arc<AtomicBool>,
}

struct SimSnapshot {
    disk: SimDisk,
    pairs: Pairs,
    is_closed: Arc<AtomicBool>,
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
        let opened = disk.call(Call::Name, 7, false, |state, fault| {
            fault.map_or(Ok(()), |fault| Err(fault.error()))?;
            match state.find(path) {
                Ok(directory) => Ok((state.directory(directory)?.live.get(NAME).copied(), state.boot)),
                Err(_) => create(state, path).map(|inode| (Some(inode), state.boot)),
            }
        });
        let (found, boot) = opened.map_err(|e| failed("open", &e))?;
        let Some(inode) = found else {
            return Err(Error::new(Reason::DataCorrupt, format!("{}: files are missing", path.display())));
        };
        Ok(Self { disk: disk.clone(), inode, boot, is_closed: Arc::default() })
    }

    fn pairs(&self) -> Pairs {
        match self.disk.state().nodes.get(&self.inode) {
            Some(Node::Kv(pairs)) => Arc::clone(pairs),
            _ => Arc::default(),
        }
    }
}

/// What a new store makes in its own directory is durable; its directory's name is the engine's affair.
fn create(state: &mut State, path: &Path) -> io::Result<Inode> {
    let directory = make_directory(state, path)?;
    let inode = state.add(State::empty_kv());
    state.change_names(directory, vec![(NAME.to_owned(), Some(inode))])?;
    state.directory(directory)?.sync();
    Ok(inode)
}

fn merge(pairs: &Pairs, run: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Pairs {
    let mut merged = BTreeMap::clone(pairs);
    for (key, value) in run {
        match value {
            Some(value) => drop(merged.insert(key.into(), value.into())),
            None => drop(merged.remove(&key[..])),
        }
    }
    Arc::new(merged)
}

impl MetaKv for SimKv {
    fn ingest(&self, run: &mut dyn Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let run: Vec<_> = run.collect();
        if let Some(pair) = run.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::new(Reason::DataCorrupt, format!("a run that is not sorted: {pair:?}")));
        }
        let taken = self.disk.call(Call::Ingest, run.len() as u64, false, |state, fault| {
            let boot = state.boot;
            let was_cut = state.is_off;
            match fault {
                Some(Fault::IngestDone) | None => {}
                Some(fault) => return Err(fault.error()),
            }
            if self.boot != boot {
                return Err(off());
            }
            let bytes = run.iter().map(|(key, value)| (key.len() + value.as_ref().map_or(0, Vec::len)) as u64).sum();
            let taken = state.take_space(bytes);
            if taken < bytes {
                state.give_space(taken);
                return Err(io::ErrorKind::StorageFull.into());
            }
            let Some(Node::Kv(pairs)) = state.nodes.get_mut(&self.inode) else { return Err(missing()) };
            *pairs = merge(pairs, run);
            fault.map_or(Ok(()), |fault| Err(fault.error()))?;
            if was_cut { Err(off()) } else { Ok(()) }
        });
        taken.map_err(|e| failed("ingest", &e))
    }

    fn snapshot(&self) -> Arc<dyn MetaSnapshot> {
        let is_closed = Arc::clone(&self.is_closed);
        Arc::new(SimSnapshot { disk: self.disk.clone(), pairs: self.pairs(), is_closed })
    }

    fn disk_bytes(&self) -> u64 {
        self.pairs().iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }
}

impl SimSnapshot {
    fn check(&self) -> Result<()> {
        if self.is_closed.load(Ordering::SeqCst) {
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
        let range = self.pairs.range::<[u8], _>((from, to)).map(|(key, value)| Ok((key.clone(), value.clone())));
        if reverse { Box::new(range.rev()) } else { Box::new(range) }
    }
}
