//! Where the metadata comes from: its store, or a copy and the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::open::{OpenKv, Paths};
use super::shared::Counters;
use crate::format::StoreId;
use crate::format::frame::{CYCLE_END_PAYLOAD_BYTES, CycleEnd, FRAME_HEADER_BYTES, Parsed, parse};
use crate::format::header::HEADER_BYTES;
use crate::format::key;
use crate::format::value::{self, Mark};
use crate::io::{Disk, failed, read_up_to};
use crate::log::LogFiles;
use crate::meta::{MetaKv, MetaSnapshot, SnapshotPairs, newest_snapshot};

/// What the metadata is made of.
pub struct Sources<'a> {
    pub disk: &'a dyn Disk,
    pub paths: &'a Paths,
    pub log: &'a Arc<LogFiles>,
    pub store: StoreId,
    pub is_new: bool,
    pub open_kv: &'a OpenKv,
    pub counters: &'a Counters,
}

impl Sources<'_> {
    /// The events end before what the metadata tells of: files of theirs are gone. The log has what they were made of: it is
    /// replayed from a copy of the metadata that tells of no event beyond their end, or from its first file.
    ///
    /// What there was is sound: it is kept until the log was seen to have what the events lack.
    pub fn metadata_before(&self, head: u64, durable: u64) -> Result<Arc<dyn MetaKv>> {
        let events = self.paths.events.display();
        if let Some(path) = self.log.missing()? {
            let detail = format!(
                "{events}: ends at event {head}, the store had {durable}; nothing was changed: restore the files of events, \
                 or {}, of which they can be made again",
                path.display()
            );
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        tracing::error!("{events}: ends at event {head}, the store had {durable}; they are made again from the log");
        rename(self.disk, &self.paths.meta, &self.paths.kept())?;
        self.metadata(head)
    }

    /// The metadata store, rebuilt from a copy and the log if it is missing, damaged or not of this log. A copy that tells of
    /// an event beyond `head` is not taken.
    pub fn metadata(&self, head: u64) -> Result<Arc<dyn MetaKv>> {
        let Self { disk, paths, log, open_kv, counters, .. } = *self;
        let marker = paths.rebuild_marker();
        let is_given_up = is_there(disk, &marker)?;
        if is_there(disk, &paths.meta)? && !is_given_up {
            let opened = open_kv(&paths.meta).and_then(|kv| match mark_of(&*kv.snapshot()) {
                Ok(mark) => Ok((kv, mark)),
                Err(e) => {
                    kv.close();
                    Err(e)
                }
            });
            match opened {
                // An error here is one of the log, which is not healed by another metadata store.
                Ok((kv, mark)) => {
                    matches_log(&mark, log).inspect_err(|_| kv.close())?;
                    return Ok(kv);
                }
                Err(e) if e.reason() == Reason::DataCorrupt => {
                    tracing::error!(error = %e, "the metadata store is damaged and will be rebuilt from the log");
                }
                Err(e) => return Err(e),
            }
        }
        remove(disk, &paths.meta)?;
        Counters::add(&counters.rebuilt, u64::from(!self.is_new));
        let copy = self.fill_aside(head)?;
        rename(disk, &paths.aside(), &paths.meta)?;
        if is_given_up {
            disk.remove(&marker).map_err(|e| failed("remove", &marker, &e))?;
        }
        let kv = open_kv(&paths.meta)?;
        // A copy may be of a state that the log no longer reaches.
        let matches = mark_of(&*kv.snapshot()).and_then(|mark| matches_log(&mark, log));
        matches.map_err(|e| {
            kv.close();
            match copy {
                Some(copy) => e.context(format!("{} was taken as metadata", copy.display())),
                None => e,
            }
        })?;
        Ok(kv)
    }

    /// Makes a metadata store aside, from the newest copy that is whole and tells of no event beyond `head`. Without one the
    /// log is to be replayed from its first file. A crash while its files are made leaves nothing that looks like one.
    fn fill_aside(&self, head: u64) -> Result<Option<PathBuf>> {
        let (disk, aside) = (self.disk, &self.paths.aside());
        let copies = if self.is_new { Vec::new() } else { newest_snapshot(disk, &self.paths.snapshots)? };
        let mut copies = copies.into_iter();
        loop {
            // Also what a damaged copy left of itself.
            remove(disk, aside)?;
            let kv = (self.open_kv)(aside)?;
            let Some((pos, path)) = copies.next() else {
                kv.close();
                return Ok(None);
            };
            let filled = fill(disk, &*kv, &path, self.store)?;
            let is_beyond = filled.is_ok() && mark_of(&*kv.snapshot())?.seq > head;
            kv.close();
            match filled {
                Ok(()) if is_beyond => {}
                Ok(()) => {
                    tracing::info!(pos, "metadata taken from a copy");
                    return Ok(Some(path));
                }
                Err(e) => tracing::error!(error = %e, "a copy of the metadata is damaged; trying an older one"),
            }
        }
    }
}

/// An open that was refused, or cut off, had put sound metadata aside: it is what there is again.
pub fn take_back(disk: &dyn Disk, paths: &Paths) -> Result<()> {
    if !is_there(disk, &paths.kept())? {
        return Ok(());
    }
    remove(disk, &paths.meta)?;
    rename(disk, &paths.kept(), &paths.meta)
}

/// What was kept is not wanted any more. It has another name before any of it goes: half of it is never taken back.
pub fn let_go(disk: &dyn Disk, paths: &Paths) -> Result<()> {
    if !is_there(disk, &paths.kept())? {
        return Ok(());
    }
    remove(disk, &paths.aside())?;
    rename(disk, &paths.kept(), &paths.aside())?;
    remove(disk, &paths.aside())
}

fn is_there(disk: &dyn Disk, path: &Path) -> Result<bool> {
    disk.exists(path).map_err(|e| failed("open", path, &e))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    if is_there(disk, path)? {
        disk.remove_directory(path).map_err(|e| failed("remove", path, &e))?;
    }
    Ok(())
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    disk.rename(from, to).map_err(|e| failed("rename", from, &e))?;
    let parent = to.parent().unwrap_or(to);
    disk.sync_directory(parent).map_err(|e| failed("sync", parent, &e))
}

/// Fills an empty store from a copy, a chunk of it in memory at a time. The inner error is one of the copy, found only when
/// part of it was taken in: then the store has no mark, and must be thrown away.
fn fill(disk: &dyn Disk, kv: &dyn MetaKv, path: &Path, store: StoreId) -> Result<Result<()>> {
    let mut pairs = match SnapshotPairs::open(disk, path, store) {
        Ok(pairs) => pairs,
        Err(e) => return Ok(Err(e)),
    };
    let (mut mark, mut damage) = (None, None);
    let mut run = std::iter::from_fn(|| {
        loop {
            match pairs.next()? {
                Ok((key, value)) if key == key::MARK => mark = Some((key, Some(value))),
                Ok((key, value)) => return Some((key, Some(value))),
                Err(e) => {
                    damage = Some(e);
                    return None;
                }
            }
        }
    });
    if let Some(first) = run.next() {
        kv.ingest(&mut std::iter::once(first).chain(run))?;
    }
    if let Some(damage) = damage {
        return Ok(Err(damage));
    }
    // Last, and by itself: with it the state counts.
    kv.ingest(&mut mark.into_iter()).map(Ok)
}

/// The mark must name a cycle that the log has. A mark beyond the log means that the log lost something: that is not
/// healed by forgetting it.
fn matches_log(mark: &Mark, log: &LogFiles) -> Result<()> {
    if mark.cycle == 0 {
        return Ok(());
    }
    let path = log.path(mark.file);
    let lost = |why: &str| {
        let detail = format!(
            "{}: {why}; the metadata stands at cycle {} there, so acknowledged data is missing from the log; nothing was \
             changed: restore the file",
            path.display(),
            mark.cycle
        );
        Error::new(Reason::WrongStore, detail)
    };
    if !log.numbers()?.contains(&mark.file) {
        return Err(lost("the file is missing"));
    }
    if mark.offset == HEADER_BYTES as u64 {
        let header = log.header(mark.file)?;
        let is_next = (header.base.saturating_sub(1), header.chain) == (mark.cycle, mark.chain);
        return if is_next { Ok(()) } else { Err(lost("it begins after another cycle")) };
    }
    let file = log.get(mark.file)?;
    let len = FRAME_HEADER_BYTES + CYCLE_END_PAYLOAD_BYTES;
    let Some(start) = mark.offset.checked_sub(len as u64) else {
        return Err(lost(&format!("offset {}: no cycle can end there", mark.offset)));
    };
    let bytes = read_up_to(&*file, len, start).map_err(|e| failed("read", &path, &e))?;
    let end = match parse(&bytes) {
        Parsed::Frame(frame) => CycleEnd::decode(frame.payload, log.store()),
        _ => None,
    };
    match end {
        Some(end) if (end.cycle, end.chain) == (mark.cycle, mark.chain) => Ok(()),
        Some(_) => Err(lost("another cycle stands where the newest one stood")),
        None => Err(lost(&format!("offset {start}: no cycle ends there"))),
    }
}

/// The mark of a state.
pub fn mark_of(state: &dyn MetaSnapshot) -> Result<Mark> {
    Ok(state.get(key::MARK)?.map(|bytes| value::decode(&bytes, "mark")).transpose()?.unwrap_or_default())
}

pub fn events_oldest(state: &dyn MetaSnapshot) -> Result<u64> {
    let stored = state.get(key::EVENTS_OLDEST)?.map(|bytes| value::decode(&bytes, "oldest event")).transpose()?;
    Ok(stored.unwrap_or(1))
}
