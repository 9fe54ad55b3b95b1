//! All segments and the ring as one firehose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use backend_api::{Error, EventFrame, EventWindow, Reason, Result, Seq};
use tokio::sync::watch;

use super::files::SegmentFiles;
use super::pinned::Pinned;
use super::ring::Ring;
use super::segment::Segment;
use crate::format::StoreId;
use crate::io::{Disk, failed};
use crate::parity::{self, Extent};

/// Sealed segments that may wait for their sync: each keeps its descriptor.
const UNSYNCED_MAX: usize = 16;
/// Bytes of events written to a segment at a time.
const FLUSH_BYTES: usize = 16 << 20;

/// Sizes.
#[derive(Debug, Clone, Copy)]
pub struct EventOptions {
    /// A segment is sealed when it has so many bytes.
    pub segment_bytes: u64,
    /// Bytes of events in memory.
    pub ring_bytes: usize,
    /// Sealed segments are read through a mapping.
    pub map_sealed: bool,
}

/// The event log.
pub struct EventLog {
    files: Arc<SegmentFiles>,
    directory: PathBuf,
    store: StoreId,
    options: EventOptions,
    state: RwLock<State>,
    /// Held by whoever writes to segments. The buffer is for entries.
    writing: Mutex<Writing>,
    /// Held by whoever syncs all of them, and taken before `writing`: of two at a time one could be told of an error that the
    /// other is not told of.
    syncing: Mutex<()>,
    /// First events of the segments, or of what is left of them, behind a gap.
    beyond: Mutex<Vec<u64>>,
    head: watch::Sender<Option<Seq>>,
}

struct State {
    segments: BTreeMap<u64, Arc<Segment>>,
    /// The oldest segment that may lack a sync. Sealing one is not worth holding up a cycle for: the next checkpoint does it.
    unsynced: u64,
    oldest: u64,
    head: u64,
    /// The newest event that is in a segment. Those after it are in the ring, which does not let go of them.
    written: u64,
    ring: Ring,
}

/// Who appends.
#[derive(Default)]
struct Writing {
    buffer: Vec<u8>,
    /// A sync that failed. The next one of the same file may say yes, and not mean it.
    failed: Option<Error>,
}

impl Writing {
    fn note(&mut self, error: &Error) {
        if error.reason() == Reason::SyncFailed {
            self.failed.get_or_insert_with(|| error.clone());
        }
    }
}

impl EventLog {
    pub(super) fn of(
        files: Arc<SegmentFiles>,
        directory: PathBuf,
        store: StoreId,
        options: EventOptions,
        segments: BTreeMap<u64, Arc<Segment>>,
        (oldest, head): (u64, u64),
        beyond: Vec<u64>,
    ) -> Result<Self> {
        let ring = Ring::new(options.ring_bytes);
        let published = Seq::new(head)?;
        let unsynced = segments.last_key_value().map_or(0, |(base, _)| *base);
        let state = RwLock::new(State { segments, unsynced, oldest, head, written: head, ring });
        let (writing, syncing, head) = (Mutex::default(), Mutex::default(), watch::Sender::new(Some(published)));
        Ok(Self { files, directory, store, options, state, writing, syncing, beyond: Mutex::new(beyond), head })
    }

    /// The newest event of which a file tells: events from one on that were lost are not in the log, which ends before it.
    pub fn told(&self) -> u64 {
        let beyond = self.beyond.lock().expect("no panic under this lock");
        self.read().head.max(beyond.last().copied().unwrap_or(0))
    }

    /// Removes the segments behind a gap, and what is left of some: the commit log has their events, which come again.
    pub fn remove_beyond(&self) -> Result<()> {
        let mut beyond = self.beyond.lock().expect("no panic under this lock");
        for base in beyond.iter() {
            let path = super::segment::path_of(&self.directory, *base);
            if self.files.disk.exists(&path).map_err(|e| failed("look for", &path, &e))? {
                remove(&*self.files.disk, &path)?;
            }
            super::index::remove(&*self.files.disk, &path);
            parity::remove(&*self.files.disk, &path);
        }
        beyond.clear();
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().expect("no panic under this lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().expect("no panic under this lock")
    }

    /// What is kept.
    pub fn window(&self) -> Result<EventWindow> {
        let state = self.read();
        Ok(EventWindow { oldest: Seq::new(state.oldest)?, head: Seq::new(state.head)? })
    }

    /// Makes consecutive events visible, from memory: the commit log has them, and they wait for [`EventLog::flush`].
    pub fn publish(&self, events: Vec<EventFrame>) {
        let Some(last) = events.last().map(|e| e.seq) else { return };
        {
            let mut state = self.write();
            let written = state.written;
            for event in events {
                state.ring.push(event, written);
            }
            state.head = last.get();
        }
        // Those who follow need not wait for a file: what is in the commit log stays.
        self.head.send_replace(Some(last));
    }

    /// Appends what waits to the segments, in order, as far as they take it.
    pub fn flush(&self) -> Result<()> {
        let mut writing = self.writing.lock().expect("no panic under this lock");
        if let Some(failed) = &writing.failed {
            return Err(failed.clone());
        }
        loop {
            let (written, events) = {
                let state = self.read();
                if state.written == state.head {
                    return Ok(());
                }
                (state.written, state.ring.after(state.written, usize::MAX, FLUSH_BYTES).unwrap_or_default())
            };
            let Some(last) = events.last() else {
                let detail = format!("{}: event {} is in no memory", self.directory.display(), written + 1);
                return Err(Error::new(Reason::DataCorrupt, detail));
            };
            self.append_to_segment(&events, &mut writing.buffer).inspect_err(|e| writing.note(e))?;
            let mut state = self.write();
            state.written = last.seq.get();
            state.ring.trim(last.seq.get());
        }
    }

    /// Bytes of events that are in no segment yet.
    pub fn waiting_bytes(&self) -> usize {
        let state = self.read();
        if state.written == state.head { 0 } else { state.ring.bytes_after(state.written) }
    }

    fn append_to_segment(&self, events: &[EventFrame], buffer: &mut Vec<u8>) -> Result<()> {
        let current = self.read().segments.values().next_back().map(Arc::clone);
        let segment = match current {
            Some(segment) if segment.len() < self.options.segment_bytes => segment,
            full => {
                let base = events[0].seq.get();
                if let Some(full) = full {
                    full.seal(self.options.map_sealed)?;
                }
                let unsynced = {
                    let state = self.read();
                    state.segments.range(state.unsynced..).count()
                };
                if unsynced > UNSYNCED_MAX {
                    self.sync_segments()?;
                }
                let next = Arc::new(Segment::create(&self.files, &self.directory, self.store, base)?);
                self.write().segments.insert(base, Arc::clone(&next));
                next
            }
        };
        segment.append(events, buffer)
    }

    /// Makes everything up to now durable.
    pub fn sync(&self) -> Result<()> {
        let _syncing = self.syncing.lock().expect("no panic under this lock");
        self.flush()?;
        let synced = self.sync_segments();
        let mut writing = self.writing.lock().expect("no panic under this lock");
        synced.inspect_err(|e| writing.note(e))?;
        // Who appends syncs too, now and then.
        writing.failed.clone().map_or(Ok(()), Err)
    }

    fn sync_segments(&self) -> Result<()> {
        let (segments, newest) = {
            let state = self.read();
            let segments: Vec<_> = state.segments.range(state.unsynced..).map(|(_, s)| Arc::clone(s)).collect();
            (segments, state.segments.last_key_value().map(|(base, _)| *base))
        };
        for segment in &segments {
            segment.sync()?;
            if Some(segment.base) != newest {
                segment.release();
            }
        }
        // The newest goes on, and is synced again the next time.
        let mut state = self.write();
        state.unsynced = newest.map_or(state.unsynced, |newest| state.unsynced.max(newest));
        Ok(())
    }

    /// Events after a number, if memory has them.
    pub fn live(&self, after: u64, limit: usize, bytes_max: usize) -> Option<Vec<EventFrame>> {
        let state = self.read();
        if after == state.head && after + 1 >= state.oldest {
            return Some(Vec::new());
        }
        if after > state.head || after + 1 < state.oldest {
            return None;
        }
        state.ring.after(after, limit, bytes_max)
    }

    /// Events after a number, from memory as far as it has them, else from segments.
    pub fn events(&self, after: u64, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let mut out = Vec::new();
        let mut bytes = 0;
        let mut after = after;
        while out.len() < limit && (bytes < bytes_max || out.is_empty()) {
            let segment = {
                let state = self.read();
                if after > state.head {
                    let detail = format!("cursor {after} is above the newest event {}", state.head);
                    return Err(Error::new(Reason::FutureCursor, detail));
                }
                if after + 1 < state.oldest {
                    let detail = format!("cursor {after}: the oldest event that is kept is {}", state.oldest);
                    return Err(Error::new(Reason::CursorGone, detail));
                }
                if after == state.head {
                    break;
                }
                let live = || state.ring.after(after, limit - out.len(), bytes_max.saturating_sub(bytes));
                if let Some(live) = live() {
                    if out.is_empty() || live.iter().map(|e| e.frame.len()).sum::<usize>() + bytes <= bytes_max {
                        out.extend(live);
                    }
                    break;
                }
                state.segments.range(..=after + 1).next_back().map(|(_, s)| Arc::clone(s))
            };
            let Some(segment) = segment else {
                let detail = format!("{}: event {} is in no segment", self.directory.display(), after + 1);
                return Err(Error::new(Reason::DataCorrupt, detail));
            };
            let found = segment.events(after, limit - out.len(), bytes_max.saturating_sub(bytes))?;
            let Some(last) = found.last() else {
                let detail = format!("{}: event {} is missing", segment.path().display(), after + 1);
                return Err(Error::new(Reason::DataCorrupt, detail));
            };
            after = last.seq.get();
            let more = found.iter().map(|e| e.frame.len()).sum::<usize>();
            if !out.is_empty() && bytes + more > bytes_max {
                break;
            }
            bytes += more;
            out.extend(found);
        }
        Ok(out)
    }

    /// Brings the sidecars of the segments from event `from` on up to what is durable of them, that of the newest as far as
    /// `extent` says. Returns the first event of the oldest that is to have more: those before it are done.
    pub fn cover(&self, from: u64, extent: Extent) -> Result<u64> {
        let (segments, unsynced) = {
            let state = self.read();
            (state.segments.range(from..).map(|(_, segment)| Arc::clone(segment)).collect::<Vec<_>>(), state.unsynced)
        };
        for segment in segments {
            let extent = if segment.base < unsynced { Extent::All } else { extent };
            match segment.cover(extent) {
                // What is damaged would be healed to what it is. Those behind it must not wait for that.
                Err(e) if e.reason() == Reason::DataCorrupt => {
                    tracing::error!(error = %e, "damage in the events; `verify --repair` heals what can be healed");
                }
                covered => covered?,
            }
            if !self.read().segments.contains_key(&segment.base) {
                // Retention took it meanwhile.
                parity::remove(&*self.files.disk, segment.path());
            }
        }
        Ok(from.max(unsynced))
    }

    /// The first event of the newest segment.
    pub fn newest_segment(&self) -> Option<u64> {
        self.read().segments.keys().next_back().copied()
    }

    /// The file of a segment is another one now, with what it should always have had.
    pub fn reopen(&self, base: u64) -> Result<()> {
        let segment = self.read().segments.get(&base).map(Arc::clone);
        segment.map_or(Ok(()), |segment| segment.reopen(self.options.map_sealed))
    }

    /// What is kept now, readable also when retention lets it go.
    pub fn pin(&self) -> Pinned {
        let state = self.read();
        let segments = state.segments.values().map(Arc::clone).collect();
        Pinned::new(segments, state.oldest)
    }

    /// Told of each newest number; `None` when the store is closed.
    pub fn subscribe(&self) -> watch::Receiver<Option<Seq>> {
        self.head.subscribe()
    }

    /// Wakes all who wait: nothing comes any more.
    pub fn close(&self) {
        self.head.send_replace(None);
    }

    /// The first event at or after a time, but never beyond the newest: what retention keeps starts there.
    pub fn first_since(&self, at: u64) -> Result<u64> {
        let (segments, oldest, head) = {
            let state = self.read();
            let first = state.segments.range(..=state.oldest).next_back().map_or(0, |(base, _)| *base);
            let kept = state.segments.range(first..).map(|(_, segment)| Arc::clone(segment));
            (kept.collect::<Vec<_>>(), state.oldest, state.head)
        };
        let mut from = 0;
        for (i, segment) in segments.iter().enumerate().skip(1) {
            if segment.first_at()? >= at {
                break;
            }
            from = i;
        }
        let Some(segment) = segments.get(from) else { return Ok(oldest) };
        let mut after = segment.base.max(oldest) - 1;
        loop {
            let events = segment.events(after, 1_024, 1 << 20)?;
            match events.iter().find(|e| e.at.0 >= at) {
                Some(event) => return Ok(event.seq.get()),
                None => match events.last() {
                    Some(last) => after = last.seq.get(),
                    // All of this one are older: the first of the next one, or the newest of all.
                    None => return Ok(segment.next().min(head).max(oldest)),
                },
            }
        }
    }

    /// Refuses a log that begins behind a number: the loss of the first segment leaves no gap.
    pub fn begins_by(&self, oldest: u64) -> Result<()> {
        let first = self.read().oldest;
        if first <= oldest { Ok(()) } else { Err(missing(&self.directory, oldest, first)) }
    }

    /// Forgets events before a number, and removes segments that have none left.
    pub fn drop_before(&self, oldest: u64) -> Result<()> {
        let gone: Vec<_> = {
            let mut state = self.write();
            state.oldest = state.oldest.max(oldest);
            let nexts = state.segments.keys().skip(1);
            let gone = state.segments.values().zip(nexts).filter(|(_, next)| **next <= oldest);
            gone.map(|(segment, _)| Arc::clone(segment)).collect()
        };
        let disk = &*self.files.disk;
        // One after the other, and the next one only when the one before is gone for good: whatever an error or a power cut
        // leaves has no gap, and is seen to the next time.
        for segment in gone {
            let path = segment.path();
            if disk.exists(path).map_err(|e| failed("look for", path, &e))? {
                // An export may still read it.
                if Arc::strong_count(&segment) > 2 {
                    segment.hold()?;
                }
                self.files.forget(segment.base);
                remove(disk, path)?;
            }
            self.files.disk.sync_directory(&self.directory).map_err(|e| failed("sync", &self.directory, &e))?;
            self.write().segments.remove(&segment.base);
            super::index::remove(disk, path);
            parity::remove(disk, path);
        }
        Ok(())
    }

    /// Bytes of all segments, and of the ring.
    pub fn bytes(&self) -> (u64, u64) {
        let state = self.read();
        (state.segments.values().map(|s| s.len()).sum(), state.ring.bytes() as u64)
    }
}

/// Events from one to before another are in no file.
pub(super) fn missing(directory: &Path, from: u64, next: u64) -> Error {
    let detail = format!("{}: events {from} to {} are missing: restore their files", directory.display(), next - 1);
    Error::new(Reason::DataCorrupt, detail)
}

/// The segments in a directory, by the number of their first event, in order.
pub fn paths(disk: &dyn Disk, directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
    let bases = names.iter().filter_map(|name| super::segment::base_of(name, ".segment"));
    let mut paths: Vec<_> = bases.map(|base| (base, super::segment::path_of(directory, base))).collect();
    paths.sort_unstable();
    Ok(paths)
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.remove(path).map_err(|e| failed("remove", path, &e))
}

/// With what lies beside it.
pub(super) fn remove_all(disk: &dyn Disk, path: &Path) -> Result<()> {
    remove(disk, path)?;
    super::index::remove(disk, path);
    parity::remove(disk, path);
    Ok(())
}
