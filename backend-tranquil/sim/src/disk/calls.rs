//! The calls of the engine's disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use backend_tranquil::io::{Disk, File, Map};

use super::fault::{Call, Fault};
use super::node::{DirectoryNode, FileNode, Inode, Node};
use super::state::{State, missing, names, off};
use super::{Keep, Lots, SECTOR_BYTES, SimDisk};
use crate::rng::Rng;
use crate::trace::Trace;

struct SimFile {
    disk: SimDisk,
    inode: Inode,
    boot: u64,
    is_alone: bool,
}

fn hash(path: &Path) -> u64 {
    let mut trace = Trace::default();
    names(path).for_each(|name| trace.note_bytes(name.as_bytes()));
    trace.value()
}

/// Events and the reserve are written under locks that others wait at: a step of theirs within such a call would never end.
fn is_alone(path: &Path) -> bool {
    names(path).any(|name| matches!(name, "events" | "reserve" | "room.tmp"))
}

fn fail(fault: Option<Fault>) -> io::Result<()> {
    fault.map_or(Ok(()), |fault| Err(fault.error()))
}

/// A sector as it was before it was written, or a bit that is not the one on disk. False if that changes nothing.
fn read_wrong(buf: &mut [u8], offset: u64, lie: Fault, lot: u64) -> bool {
    let Some(at) = (buf.len() as u64).checked_sub(1).map(|last| (lot >> 3) % (last + 1)) else { return false };
    if lie == Fault::FlippedRead {
        buf[at as usize] ^= 1 << (lot % 8);
        return true;
    }
    let sector = (offset + at) / SECTOR_BYTES * SECTOR_BYTES;
    let (from, to) = (sector.saturating_sub(offset), (sector + SECTOR_BYTES - offset).min(buf.len() as u64));
    let stale = &mut buf[from as usize..to as usize];
    let changes = stale.iter().any(|b| *b != 0);
    stale.fill(0);
    changes
}

const fn full() -> io::ErrorKind {
    io::ErrorKind::StorageFull
}

impl SimDisk {
    fn handle(&self, path: &Path, inode: Inode, boot: u64) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.clone(), inode, boot, is_alone: is_alone(path) })
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (inode, boot) = self.call(Call::Open, hash(path), is_alone(path), |state, fault| {
            fail(fault)?;
            let inode = state.find(path)?;
            state.file(inode)?;
            Ok((inode, state.boot))
        })?;
        Ok(self.handle(path, inode, boot))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (inode, boot) = self.call(Call::Create, hash(path) ^ 1, is_alone(path), |state, fault| {
            fail(fault)?;
            let (parent, name) = state.parent(path)?;
            if state.directory(parent)?.live.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if state.copies_on_write && state.free_bytes == Some(0) {
                return Err(full().into());
            }
            let inode = state.add(Node::File(FileNode::default()));
            state.change_names(parent, vec![(name.to_owned(), Some(inode))])?;
            Ok((inode, state.boot))
        })?;
        Ok(self.handle(path, inode, boot))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, hash(from) ^ hash(to).rotate_left(1), is_alone(from), |state, fault| {
            fail(fault)?;
            let (parent, name) = state.parent(from)?;
            let (other, new) = state.parent(to)?;
            let inode = *state.directory(parent)?.live.get(name).ok_or_else(missing)?;
            if parent != other {
                return Err(io::Error::other("the engine renames within a directory"));
            }
            state.inherit_harm(inode, new, parent);
            state.change_names(parent, vec![(name.to_owned(), None), (new.to_owned(), Some(inode))])
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Name, hash(path) ^ 2, is_alone(path), |state, fault| {
            fail(fault)?;
            let (parent, name) = state.parent(path)?;
            let inode = *state.directory(parent)?.live.get(name).ok_or_else(missing)?;
            let allocated = state.file(inode)?.allocated;
            state.give_space(allocated);
            state.change_names(parent, vec![(name.to_owned(), None)])
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Name, hash(path) ^ 3, is_alone(path), |state, fault| {
            let (parent, name) = state.parent(path)?;
            let inode = state.find(path)?;
            let is_broken_off = fault.is_some() || state.is_off;
            // What is in it goes first, and it may end there.
            if !is_broken_off || state.rng.one_in(2) {
                empty(state, inode)?;
            }
            fail(fault)?;
            if is_broken_off {
                return Err(off());
            }
            state.change_names(parent, vec![(name.to_owned(), None)])
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.call(Call::List, hash(path) ^ 4, is_alone(path), |state, fault| {
            fail(fault)?;
            let inode = state.find(path)?;
            Ok(state.directory(inode)?.live.keys().cloned().collect())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Name, hash(path) ^ 5, is_alone(path), |state, fault| {
            fail(fault)?;
            make_directory(state, path)?;
            // Durable when it returns, as the contract says.
            let mut at = path;
            while let Some(parent) = at.parent() {
                let inode = state.find(parent)?;
                state.directory(inode)?.sync_name(names(at).last().unwrap_or_default());
                at = parent;
            }
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncDirectory, hash(path), is_alone(path), |state, fault| {
            fail(fault)?;
            let inode = state.find(path)?;
            state.directory(inode)?.sync();
            Ok(())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(Call::Name, hash(path) ^ 6, is_alone(path), |state, fault| {
            fail(fault)?;
            Ok(state.find(path).is_ok())
        })
    }
}

/// A directory and those above it.
pub(super) fn make_directory(state: &mut State, path: &Path) -> io::Result<Inode> {
    if let Ok(inode) = state.find(path) {
        return state.directory(inode).map(|_| inode);
    }
    make_directory(state, path.parent().ok_or_else(missing)?)?;
    let (parent, name) = state.parent(path)?;
    let inode = state.add(Node::Directory(DirectoryNode::default()));
    state.change_names(parent, vec![(name.to_owned(), Some(inode))])?;
    Ok(inode)
}

/// Removes all names in a directory, each by itself.
fn empty(state: &mut State, inode: Inode) -> io::Result<()> {
    for (name, inner) in state.directory(inode)?.live.clone() {
        if matches!(state.nodes.get(&inner), Some(Node::Directory(_))) {
            empty(state, inner)?;
        }
        state.change_names(inode, vec![(name, None)])?;
    }
    Ok(())
}

impl SimFile {
    fn call<T>(
        &self,
        call: Call,
        what: u64,
        run: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.call(call, what ^ self.inode.rotate_left(40), self.is_alone, |state, fault| {
            if self.boot == state.boot { run(state, fault) } else { Err(off()) }
        })
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Call::Read, offset, |state, fault| {
            let len = buf.len();
            let mut want = len;
            match fault {
                Some(Fault::ShortRead) if len > 1 => want = 1 + state.rng.below(len as u64 - 1) as usize,
                Some(Fault::Rot) if !state.rot(self.inode, offset, len) => state.faults.uncount(Fault::Rot),
                Some(Fault::ShortRead | Fault::Rot | Fault::StaleRead | Fault::FlippedRead) | None => {}
                other => fail(other)?,
            }
            let lot = state.rng.clone().next();
            let file = state.file(self.inode)?;
            let rest = file.live.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(want);
            buf[..read].copy_from_slice(&rest[..read]);
            if let Some(lie @ (Fault::StaleRead | Fault::FlippedRead)) = fault
                && !read_wrong(&mut buf[..read], offset, lie, lot)
            {
                state.faults.uncount(lie);
            }
            Ok(read)
        })
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let what = offset ^ (buf.len() as u64).rotate_left(20);
        self.call(Call::Write, what, |state, fault| {
            let (was_cut, copies) = (state.is_off, state.copies_on_write);
            let order = state.next_order();
            let room = state.file(self.inode)?.allocated;
            let end = offset + buf.len() as u64;
            // Where nothing is written in place, what is overwritten must find room for a moment, too.
            if copies && state.free_bytes.is_some_and(|free| free < buf.len() as u64) {
                return Err(full().into());
            }
            let more = end.saturating_sub(room);
            let mut fits = buf.len() - (more - state.take_space(more)).min(buf.len() as u64) as usize;
            match fault {
                Some(Fault::Write) => return fail(fault),
                Some(_) => fits = state.rng.below(fits as u64 + 1) as usize,
                None if was_cut => fits = state.rng.below(fits as u64 + 1) as usize,
                None => {}
            }
            state.trace.note_bytes(&buf[..fits]);
            state.file(self.inode)?.write(offset, &buf[..fits], order);
            fail(fault)?;
            match () {
                () if was_cut => Err(off()),
                () if fits < buf.len() => Err(full().into()),
                () => Ok(()),
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.call(Call::Sync, 0, |state, fault| {
            if fault == Some(Fault::SyncGate) {
                let mut rng = Rng::new(state.rng.next());
                let kept_ppm = rng.pick(&[0, 500_000, 900_000]);
                let mut lots = Lots { rng, kept_ppm, torn_ppm: 0, torn: 0 };
                state.file(self.inode)?.lose_pending(&mut Keep::Lot(&mut lots));
            }
            if let Some(lie) = fault.filter(|fault| fault.is_lie()) {
                if !state.sync_and_lie(self.inode, lie) {
                    state.faults.uncount(lie);
                }
                return Ok(());
            }
            fail(fault)?;
            state.file(self.inode)?.sync();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Call::Size, 0, |state, fault| {
            fail(fault)?;
            Ok(state.file(self.inode)?.live.len() as u64)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(Call::SetSize, len ^ 1 << 50, |state, fault| {
            fail(fault)?;
            let order = state.next_order();
            let file = state.file(self.inode)?;
            file.set_len(len, order);
            let freed = file.allocated.saturating_sub(len);
            file.allocated -= freed;
            state.give_space(freed);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.call(Call::Allocate, len, |state, fault| {
            fail(fault)?;
            let order = state.next_order();
            let more = len.saturating_sub(state.file(self.inode)?.allocated);
            let taken = state.take_space(more);
            if taken < more {
                state.give_space(taken);
                return Err(full().into());
            }
            let file = state.file(self.inode)?;
            file.set_len(len.max(file.live.len() as u64), order);
            file.allocated = file.allocated.max(len);
            Ok(())
        })
    }

    fn map(&self, _: u64) -> io::Result<Option<Map>> {
        Ok(None)
    }
}
