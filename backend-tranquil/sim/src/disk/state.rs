//! The disk's content, its power, its faults, and its trace.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Component, Path};

use bytes::Bytes;

use super::crash::{Crash, Keep, Lots, Survivors};
use super::fault::{Call, Fault, Faults};
use super::node::{DirectoryNode, FileNode, Inode, NameChange, Node};
use crate::rng::Rng;
use crate::trace::Trace;

const ROOT: Inode = 1;

/// Everything about a disk.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) nodes: BTreeMap<Inode, Node>,
    next: Inode,
    /// Changes so far.
    pub(super) order: u64,
    /// Calls so far.
    pub calls: u64,
    /// Calls so far to which something may happen that was planned: while it is calm they do not count.
    pub counted: u64,
    /// What each of those was.
    pub kinds: Vec<Call>,
    /// Nothing goes wrong; what is planned waits.
    pub is_calm: bool,
    /// Handles of an earlier time are no longer good.
    pub(super) boot: u64,
    /// The power goes, or the process is killed, within this call of those that count.
    pub crash_at: Option<u64>,
    /// Nothing reaches the disk any more.
    pub is_off: bool,
    /// Bytes that are free; as many as anybody wants if it does not say.
    pub free_bytes: Option<u64>,
    /// A full disk refuses to overwrite, too, as those do that never write in place.
    pub copies_on_write: bool,
    /// A second copy of the pages does not outlive the process.
    pub evicts: bool,
    /// The disk has lied about a file of the log: its end may be lost, and nobody can tell.
    pub is_log_suspect: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// Decides what goes wrong.
    pub rng: Rng,
    /// All that was done.
    pub trace: Trace,
}

impl State {
    /// An empty disk.
    #[must_use]
    pub fn new(faults: Faults, rng: Rng) -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Directory(DirectoryNode::default()))]),
            next: ROOT + 1,
            order: 0,
            calls: 0,
            counted: 0,
            kinds: Vec::new(),
            is_calm: false,
            boot: 0,
            crash_at: None,
            is_off: false,
            free_bytes: None,
            copies_on_write: false,
            evicts: false,
            is_log_suspect: false,
            faults,
            rng,
            trace: Trace::default(),
        }
    }

    /// A call begins. The error is that of a machine without power.
    pub(super) fn begin(&mut self, call: Call, what: u64) -> io::Result<Option<Fault>> {
        if self.is_off {
            return Err(off());
        }
        self.calls += 1;
        self.trace.note(call as u64);
        self.trace.note(what);
        if self.is_calm {
            self.trace.note(0);
            return Ok(None);
        }
        self.counted += 1;
        self.kinds.push(call);
        if self.crash_at == Some(self.counted) {
            self.is_off = true;
            self.crash_at = None;
            self.trace.note(0xdead);
            // A write or a change of names that was under way may have been done in part: what that means is decided
            // when it is known what the crash leaves.
            return if matches!(call, Call::Write | Call::Name | Call::Create | Call::Rename | Call::Open | Call::Ingest)
                && self.rng.one_in(2)
            {
                Ok(None)
            } else {
                Err(off())
            };
        }
        let fault = self.faults.draw(call, self.counted, &mut self.rng);
        self.trace.note(fault.map_or(0, |f| f as u64 + 1));
        Ok(fault)
    }

    /// True if the next call is slow.
    pub(super) fn is_slow(&mut self) -> bool {
        !self.is_off && !self.is_calm && self.faults.draw_slow(self.counted + 1, &mut self.rng)
    }

    /// A call ends.
    pub(super) const fn end(&mut self, is_ok: bool) {
        self.trace.note(is_ok as u64);
    }

    /// The machine or the process comes back. What was open is not any more.
    pub fn restart(&mut self, crash: Crash) {
        self.boot += 1;
        self.is_off = false;
        match crash {
            Crash::Kill if self.evicts => self.each_file(FileNode::evict),
            Crash::Kill => {}
            Crash::Power(survivors) => self.cut(survivors),
        }
        self.forget_unreachable();
    }

    fn each_file(&mut self, mut each: impl FnMut(&mut FileNode)) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                each(file);
            }
        }
    }

    fn cut(&mut self, survivors: Survivors) {
        let kept_ppm = if let Survivors::Some(ppm) = survivors { ppm } else { 0 };
        // Other lots at each call, also where nothing else drew any since the act began.
        let rng = Rng::of(self.rng.next(), self.calls);
        let mut lots = Lots { rng, kept_ppm, torn_ppm: self.faults.torn_ppm(), torn: 0 };
        let mut keep = match survivors {
            Survivors::None => Keep::None,
            Survivors::All => Keep::All,
            Survivors::First(n) => Keep::Before(self.first_pending().saturating_add(n)),
            Survivors::Some(_) => Keep::Lot(&mut lots),
        };
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(&mut keep),
                Node::Directory(directory) => directory.cut(&mut keep),
                Node::Kv(_) => {}
            }
        }
        self.faults.count(Fault::Torn, lots.torn);
    }

    /// The oldest change that is not synced.
    fn first_pending(&self) -> u64 {
        let first = |node: &Node| match node {
            Node::File(file) => file.pending.first().map(|p| p.order),
            Node::Directory(directory) => directory.pending.first().map(|p| p.order),
            Node::Kv(_) => None,
        };
        self.nodes.values().filter_map(first).min().unwrap_or(0)
    }

    /// Changes that are not synced.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let count = |node: &Node| match node {
            Node::File(file) => file.pending.len(),
            Node::Directory(directory) => directory.pending.len(),
            Node::Kv(_) => 0,
        };
        self.nodes.values().map(count).sum::<usize>() as u64
    }

    fn forget_unreachable(&mut self) {
        let mut reached = BTreeMap::new();
        let mut next = vec![ROOT];
        while let Some(inode) = next.pop() {
            let Some(node) = self.nodes.remove(&inode) else { continue };
            if let Node::Directory(directory) = &node {
                let pending = directory.pending.iter().flat_map(|p| p.change.iter().filter_map(|(_, inode)| *inode));
                next.extend(directory.live.values().chain(directory.durable.values()).copied().chain(pending));
            }
            reached.insert(inode, node);
        }
        self.nodes = reached;
    }

    pub(super) fn add(&mut self, node: Node) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    pub(super) const fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// What a path names.
    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut at = ROOT;
        for name in names(path) {
            let Some(Node::Directory(directory)) = self.nodes.get(&at) else { return Err(missing()) };
            at = *directory.live.get(name).ok_or_else(missing)?;
        }
        Ok(at)
    }

    /// The directory that a path is in, and the path's last name.
    pub(super) fn parent<'a>(&self, path: &'a Path) -> io::Result<(Inode, &'a str)> {
        let name = names(path).last().ok_or_else(missing)?;
        Ok((self.find(path.parent().ok_or_else(missing)?)?, name))
    }

    pub(super) fn file(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(missing()),
        }
    }

    pub(super) fn directory(&mut self, inode: Inode) -> io::Result<&mut DirectoryNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(missing()),
        }
    }

    /// Takes space, as far as there is some: how many of these bytes fit.
    pub(super) fn take_space(&mut self, bytes: u64) -> u64 {
        let Some(free) = &mut self.free_bytes else { return bytes };
        let taken = bytes.min(*free);
        *free -= taken;
        taken
    }

    /// Gives space back.
    pub(super) fn give_space(&mut self, bytes: u64) {
        if let Some(free) = &mut self.free_bytes {
            *free += bytes;
        }
    }

    /// True if there is a bound.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.free_bytes.is_some()
    }

    /// A file takes a name that another one has: what was copied from that one is as good as it was. A healed copy takes
    /// the name in two steps.
    pub(super) fn inherit_harm(&mut self, inode: Inode, name: &str, directory: Inode) {
        let name = name.strip_suffix(".healed").unwrap_or(name);
        let Some(old) = self.directory(directory).ok().and_then(|d| d.live.get(name).copied()) else { return };
        let Some(Node::File(old)) =
            self.nodes.get(&old).filter(|old| matches!(old, Node::File(f) if !f.harmed.is_empty()))
        else {
            return;
        };
        let old = old.clone();
        if let Ok(file) = self.file(inode) {
            file.inherit(&old);
        }
    }

    pub(super) fn change_names(&mut self, directory: Inode, change: NameChange) -> io::Result<()> {
        let order = self.next_order();
        self.directory(directory)?.change(change, order);
        Ok(())
    }

    /// True if a path in the log leads to a file.
    pub(super) fn is_in_log(&self, inode: Inode) -> bool {
        let Ok(log) = self.find(&Path::new(crate::world::DIRECTORY).join("log")) else { return false };
        matches!(self.nodes.get(&log), Some(Node::Directory(log)) if log.live.values().any(|i| *i == inode))
    }

    /// The content of every file by path, as programs see it.
    #[must_use]
    pub fn files(&self) -> Vec<(String, &[u8])> {
        let mut out = Vec::new();
        self.walk(ROOT, String::new(), &mut out);
        out
    }

    fn walk<'a>(&'a self, inode: Inode, path: String, out: &mut Vec<(String, &'a [u8])>) {
        match self.nodes.get(&inode) {
            Some(Node::Directory(directory)) => {
                for (name, inode) in &directory.live {
                    self.walk(*inode, format!("{path}/{name}"), out);
                }
            }
            Some(Node::File(file)) => out.push((path, &file.live)),
            Some(Node::Kv(_)) | None => {}
        }
    }

    /// The keys of the key-value store in a directory.
    #[must_use]
    pub fn keys(&self, directory: &Path) -> Vec<Bytes> {
        match self.find(&directory.join(super::kv::NAME)).ok().and_then(|inode| self.nodes.get(&inode)) {
            Some(Node::Kv(kv)) => {
                kv.pairs.range(Bound::Unbounded, Bound::Unbounded, false).map(|(key, _)| key).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Changes a file behind everybody's back, on disk and in the cache.
    ///
    /// # Errors
    /// If it is not there.
    pub fn tamper(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let inode = self.find(path)?;
        let file = self.file(inode)?;
        change(&mut file.live);
        file.durable.clone_from(&file.live);
        file.pending.clear();
        Ok(())
    }

    /// Removes a name behind everybody's back.
    ///
    /// # Errors
    /// If it is not there.
    pub fn lose(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let directory = self.directory(parent)?;
        directory.live.remove(name).ok_or_else(missing)?;
        directory.durable.remove(name);
        directory.pending.clear();
        Ok(())
    }
}

pub(super) fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

pub(super) fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

pub(super) fn off() -> io::Error {
    io::Error::other("the power is off")
}
