//! One segment: consecutive events in one file, with a sparse index.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use backend_api::{Error, EventFrame, Reason, Result};
use bytes::Bytes;

use super::entry::{Head, Parsed, append, head, parse};
use super::files::SegmentFiles;
use super::index;
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::{StoreId, number_in};
use crate::io::{Disk, File, Map, failed, read_up_to, two_reads_differ};
use crate::parity::{self, Cover, Extent, Piece};

/// An index entry for each so many bytes: what a reader scans at the most to find its cursor.
const INDEX_STEP_BYTES: u64 = 32 * 1024;
/// Digits of a segment's name.
const DIGITS: usize = 16;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// So many zeros at the end of a sealed segment may be none of it.
const FILLED_UP_BYTES: usize = 16;

/// A segment. Written by one thread, read by any.
pub struct Segment {
    pub base: u64,
    path: PathBuf,
    store: StoreId,
    files: Arc<SegmentFiles>,
    /// Its descriptor, if it must not change: that of the newest segment, whose syncs count, or of a removed one.
    held: Mutex<Option<Arc<dyn File>>>,
    state: RwLock<State>,
}

#[derive(Clone)]
struct State {
    /// Where the next event goes.
    len: u64,
    /// Up to where it is durable.
    synced: u64,
    /// The next event's number.
    next: u64,
    /// The event, and its offset, that its sidecar is to be brought on from.
    checked: (u64, u64),
    /// Numbers and offsets, ascending. Built while appending, or by the first reader of an older segment.
    index: Option<Arc<Vec<(u64, u64)>>>,
    /// A mapping of the whole, once it is sealed and if that is wanted.
    map: Option<Arc<Map>>,
}

pub fn path_of(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:0DIGITS$}.segment"))
}

/// The first event of the segment that a name is of.
pub fn base_of(name: &str, ending: &str) -> Option<u64> {
    number_in(name, DIGITS, ending)
}

/// What a scan found wrong, and where.
pub struct Damage {
    pub offset: u64,
    pub why: &'static str,
}

/// What a walk over all events found.
struct Walk {
    next: u64,
    offset: u64,
    index: Vec<(u64, u64)>,
    damage: Option<Damage>,
}

impl Segment {
    /// Begins a segment.
    pub fn create(files: &Arc<SegmentFiles>, directory: &Path, store: StoreId, base: u64) -> Result<Self> {
        let path = path_of(directory, base);
        let fail = |e: std::io::Error| failed("create", &path, &e);
        files.forget(base);
        // An attempt that found no space, or a power cut, may have left its name, and anything in it.
        let there = files.disk.exists(&path).map_err(fail)?;
        let file = if there { files.disk.open(&path) } else { files.disk.create(&path) }.map_err(fail)?;
        file.set_len(0).map_err(fail)?;
        let segment = Self::new(base, path.clone(), store, files, Some(Arc::clone(&file)));
        file.write_all_at(&segment.header().encode(), 0).map_err(fail)?;
        files.disk.sync_directory(directory).map_err(fail)?;
        Ok(segment)
    }

    /// Begins a segment again of which the header never became durable, so that no checkpoint vouches for anything in it. It is
    /// not removed: where retention took all before it, its name is all that tells where the events end.
    pub fn begin_again(files: &Arc<SegmentFiles>, directory: &Path, store: StoreId, base: u64) -> Result<Self> {
        let path = path_of(directory, base);
        match sound_bytes(&*files.disk, &path, store, base) {
            // Not because of one bad read.
            Ok(_) => return Err(two_reads_differ(&path, 0)),
            Err(e) if e.reason() == Reason::DataCorrupt => {}
            Err(e) => return Err(e),
        }
        // It would tell of what is gone.
        parity::remove(&*files.disk, &path);
        Self::create(files, directory, store, base)
    }

    fn new(base: u64, path: PathBuf, store: StoreId, files: &Arc<SegmentFiles>, held: Option<Arc<dyn File>>) -> Self {
        let len = HEADER_BYTES as u64;
        let state = State { len, synced: 0, next: base, checked: (base, len), index: Some(Arc::default()), map: None };
        Self { base, path, store, files: Arc::clone(files), held: Mutex::new(held), state: RwLock::new(state) }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn File>>> {
        self.held.lock().expect("no panic under this lock")
    }

    pub fn file(&self) -> Result<Arc<dyn File>> {
        match &*self.held() {
            Some(file) => Ok(Arc::clone(file)),
            None => self.files.get(self.base, &self.path),
        }
    }

    /// Nothing is appended any more: its descriptor need not be kept.
    pub fn release(&self) {
        *self.held() = None;
    }

    /// Keeps its descriptor: it can be read also when its name is gone.
    pub fn hold(&self) -> Result<()> {
        let file = self.file()?;
        *self.held() = Some(file);
        self.files.forget(self.base);
        Ok(())
    }

    /// Opens a segment and reads it to its end, or to the first damage, where it ends then.
    pub fn open(
        files: &Arc<SegmentFiles>,
        directory: &Path,
        store: StoreId,
        base: u64,
    ) -> Result<(Self, Option<Damage>)> {
        let segment = Self::with_header(files, directory, store, base)?;
        segment.hold()?;
        let walk = segment.walk()?;
        let mut state = segment.write();
        (state.len, state.synced, state.next, state.index) =
            (walk.offset, walk.offset, walk.next, Some(Arc::new(walk.index)));
        state.checked = (walk.next, walk.offset);
        drop(state);
        Ok((segment, walk.damage))
    }

    /// Opens a segment that was sealed before event `next`, without reading its events.
    pub fn open_sealed(
        files: &Arc<SegmentFiles>,
        directory: &Path,
        store: StoreId,
        base: u64,
        next: u64,
    ) -> Result<Self> {
        let segment = Self::with_header(files, directory, store, base)?;
        if index::next(&*files.disk, &segment.path, store, base).is_some_and(|ends| ends != next) {
            // An index is never synced, so it may be of a time when the segment ended elsewhere: the events tell.
            let ends = segment.walk()?.next;
            if ends != next {
                let path = segment.path.display();
                let detail = format!(
                    "{path}: ends before event {ends}, the next segment starts with {next}: events are missing; nothing was changed"
                );
                return Err(Error::new(Reason::DataCorrupt, detail));
            }
        }
        let mut len = segment.file()?.len().map_err(|e| failed("open", &segment.path, &e))?;
        // Programs that copy files may fill up the last block. What stands behind the last event is none of it.
        let last = segment.read(FILLED_UP_BYTES, len.saturating_sub(FILLED_UP_BYTES as u64))?;
        if last.iter().all(|byte| *byte == 0) {
            let walk = segment.walk()?;
            len = if walk.next == next { walk.offset } else { len };
        }
        let mut state = segment.write();
        (state.len, state.synced, state.next, state.index) = (len, len, next, None);
        drop(state);
        Ok(segment)
    }

    fn with_header(files: &Arc<SegmentFiles>, directory: &Path, store: StoreId, base: u64) -> Result<Self> {
        let path = path_of(directory, base);
        let file = files.get(base, &path)?;
        header(&*file, &path, store, base)?;
        Ok(Self::new(base, path, store, files, None))
    }

    fn walk(&self) -> Result<Walk> {
        walk(&*self.file()?, &self.path, (self.base, HEADER_BYTES as u64), u64::MAX)
    }

    /// The state, with an index.
    fn indexed(&self) -> Result<State> {
        let state = self.state.read().expect("no panic under this lock").clone();
        if state.index.is_some() {
            return Ok(state);
        }
        let index = match index::read(&*self.files.disk, &self.path, self.store, self.base) {
            Some(index) => index,
            // What lies behind damage is found by scanning from the last entry before it, and fails there.
            None => self.walk()?.index,
        };
        let mut state = self.write();
        state.index = Some(Arc::new(index));
        Ok(state.clone())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().expect("no panic under this lock")
    }

    /// Time of the first event.
    pub fn first_at(&self) -> Result<u64> {
        let events = self.events(self.base - 1, 1, 0)?;
        Ok(events.first().map_or(u64::MAX, |e| e.at.0))
    }

    /// Appends events: one write, no sync. They are visible to readers when this returns.
    pub fn append(&self, events: &[EventFrame], buffer: &mut Vec<u8>) -> Result<()> {
        let Some(last) = events.last() else { return Ok(()) };
        let len = self.len();
        buffer.clear();
        let mut places = Vec::with_capacity(events.len());
        for event in events {
            places.push((event.seq.get(), len + buffer.len() as u64));
            append(buffer, event);
        }
        if let Err(e) = self.file()?.write_all_at(buffer, len) {
            // What there is of it is taken off again: a sealed segment ends with its last event.
            self.cut()?;
            return Err(failed("append to", &self.path, &e));
        }
        let mut state = self.write();
        let index = Arc::make_mut(state.index.get_or_insert_default());
        for (seq, offset) in places {
            note(index, seq, offset);
        }
        (state.len, state.next) = (len + buffer.len() as u64, last.seq.get() + 1);
        Ok(())
    }

    /// Cuts off what lies behind the last whole event.
    pub fn cut(&self) -> Result<()> {
        let len = self.len();
        self.file()?.set_len(len).map_err(|e| failed("cut", &self.path, &e))
    }

    /// Makes the events durable.
    pub fn sync(&self) -> Result<()> {
        // Whatever the reason, it is final: the same descriptor may say yes the next time, and not mean it.
        let failed = |e: std::io::Error| Error::new(Reason::SyncFailed, format!("sync {}: {e}", self.path.display()));
        let len = self.len();
        self.file()?.sync().map_err(failed)?;
        self.write().synced = len;
        Ok(())
    }

    pub fn header(&self) -> Header {
        Header { kind: FileKind::Events, store: self.store, number: self.base, base: self.base, chain: 0 }
    }

    /// Brings its sidecar up to what is durable.
    pub fn cover(&self, extent: Extent) -> Result<()> {
        let (known, synced) = {
            let state = self.state.read().expect("no panic under this lock");
            (state.checked, state.synced)
        };
        let header = self.header();
        let cover = Cover::new(&*self.files.disk, &self.path, &header, synced, extent);
        if cover.is_done() {
            return Ok(());
        }
        let from = cover.from(known.1);
        let first = if from == known.1 { known.0 } else { self.base };
        let mut next = first;
        let mut reads = |bytes: &[u8]| match head(bytes) {
            Head::Event { seq, .. } if seq.get() != next => Piece::Bad("another event stands there"),
            Head::Event { whole, .. } => {
                next += 1;
                Piece::Whole(whole)
            }
            Head::Short(whole) => Piece::Short(whole),
            Head::Bad(why) => Piece::Bad(why),
        };
        let (checked, events) = cover.bring(&*self.file()?, from, &mut reads)?;
        self.write().checked = (first + events, checked);
        Ok(())
    }

    /// Nothing is appended any more; its descriptor is kept until it is synced. With `map`, it is read through a mapping from now on.
    pub fn seal(&self, map: bool) -> Result<()> {
        let index = self.state.read().expect("no panic under this lock").index.clone().unwrap_or_default();
        if let Err(e) = index::write(&*self.files.disk, &self.path, self.store, (self.base, self.next()), &index) {
            // The first reader makes it again.
            tracing::warn!(error = %e, "no index of a sealed segment");
        }
        if map { self.map() } else { Ok(()) }
    }

    /// Reads another file of its name from now on.
    pub fn reopen(&self, map: bool) -> Result<()> {
        self.files.forget(self.base);
        self.release();
        let mut state = self.write();
        (state.map, state.checked) = (None, (self.base, HEADER_BYTES as u64));
        drop(state);
        if map { self.map() } else { Ok(()) }
    }

    /// It is read through a mapping from now on.
    pub fn map(&self) -> Result<()> {
        let mapped = self.file()?.map(self.len()).map_err(|e| failed("map", &self.path, &e))?;
        self.write().map = mapped.map(Arc::new);
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.state.read().expect("no panic under this lock").len
    }

    /// The number of the event that would come next.
    pub fn next(&self) -> u64 {
        self.state.read().expect("no panic under this lock").next
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, len: usize, offset: u64) -> Result<Vec<u8>> {
        read_up_to(&*self.file()?, len, offset)
            .map_err(|e| failed("read", &self.path, &e).context(format!("offset {offset}")))
    }

    /// Events after a number that are in this segment.
    pub fn events(&self, after: u64, limit: usize, bytes_max: usize) -> Result<Vec<EventFrame>> {
        let wanted = after + 1;
        let at_start = wanted == self.base;
        let state =
            if at_start { self.state.read().expect("no panic under this lock").clone() } else { self.indexed()? };
        if wanted >= state.next {
            return Ok(Vec::new());
        }
        let index = state.index.as_deref().map_or(&[][..], Vec::as_slice);
        let found = index.partition_point(|(seq, _)| *seq <= wanted);
        let (mut seq, mut offset) = match found.checked_sub(1) {
            Some(i) => index[i],
            None => (self.base, HEADER_BYTES as u64),
        };
        let mut out: Vec<EventFrame> = Vec::new();
        let mut bytes = 0;
        let mut chunk = Bytes::new();
        let mut chunk_start = offset;
        while offset < state.len && out.len() < limit {
            match parse(&chunk, (offset - chunk_start) as usize) {
                Parsed::Event(event, _) if event.seq.get() != seq => {
                    return Err(self.damaged(offset, "another event stands there"));
                }
                Parsed::Event(event, len) => {
                    if seq >= wanted {
                        bytes += event.frame.len();
                        if bytes > bytes_max && !out.is_empty() {
                            break;
                        }
                        out.push(event);
                    }
                    (seq, offset) = (seq + 1, offset + len as u64);
                }
                Parsed::Bad(why) => return Err(self.damaged(offset, why)),
                Parsed::Short(whole) => {
                    let ahead = bytes_max.saturating_sub(bytes).saturating_add(INDEX_STEP_BYTES as usize);
                    let len = whole.max(ahead.min(CHUNK_BYTES)).min((state.len - offset) as usize);
                    if len < whole {
                        return Err(self.damaged(offset, "the file ends within an event"));
                    }
                    chunk = self.copy(&state, len, offset)?;
                    if chunk.len() < whole {
                        return Err(self.damaged(offset, "the file ends within an event"));
                    }
                    chunk_start = offset;
                }
            }
        }
        Ok(out)
    }

    /// Bytes of the file, copied before they are checked.
    fn copy(&self, state: &State, len: usize, offset: u64) -> Result<Bytes> {
        match &state.map {
            Some(map) => {
                let start = offset as usize;
                Ok(Bytes::copy_from_slice(map.get(start..start + len).unwrap_or_default()))
            }
            None => Ok(Bytes::from(self.read(len, offset)?)),
        }
    }

    fn damaged(&self, offset: u64, why: &str) -> Error {
        let path = self.path.display();
        let detail =
            format!("{path}: offset {offset}: {why}; the event can be re-created from the commit log by `verify`");
        Error::new(Reason::DataCorrupt, detail)
    }
}

/// Reads the events of a segment's file, from the one on that stands at an offset, to its end or another offset.
fn walk(file: &dyn File, path: &Path, (mut next, mut offset): (u64, u64), end: u64) -> Result<Walk> {
    let mut index = Vec::new();
    let mut chunk = Bytes::new();
    let mut chunk_start = offset;
    let damage = loop {
        if offset >= end {
            break None;
        }
        let at = (offset - chunk_start) as usize;
        match parse(&chunk, at) {
            Parsed::Event(event, _) if event.seq.get() != next => {
                break Some(Damage { offset, why: "another event stands there" });
            }
            Parsed::Event(_, len) => {
                note(&mut index, next, offset);
                (next, offset) = (next + 1, offset + len as u64);
            }
            Parsed::Bad(why) => break Some(Damage { offset, why }),
            Parsed::Short(whole) => {
                let read = read_up_to(file, whole.max(CHUNK_BYTES.min((end - offset) as usize)), offset)
                    .map_err(|e| failed("read", path, &e).context(format!("offset {offset}")))?;
                if read.is_empty() {
                    break None;
                }
                if read.len() < whole {
                    break Some(Damage { offset, why: "the file ends within an event" });
                }
                (chunk, chunk_start) = (Bytes::from(read), offset);
            }
        }
    };
    Ok(Walk { next, offset, index, damage })
}

/// Up to where a file has nothing but the sound events of the segment that starts with event `base`.
pub fn sound_bytes(disk: &dyn Disk, path: &Path, store: StoreId, base: u64) -> Result<u64> {
    let file = disk.open(path).map_err(|e| failed("open", path, &e))?;
    header(&*file, path, store, base)?;
    Ok(walk(&*file, path, (base, HEADER_BYTES as u64), u64::MAX)?.offset)
}

/// Writes a segment's file to fresh blocks. So many bytes of it are sound, and so they must be in the copy that takes its name:
/// what a disk gives wrongly, it may give wrongly twice.
pub fn rewrite(disk: &dyn Disk, path: &Path, store: StoreId, base: u64, sound: u64) -> Result<()> {
    crate::io::rewrite(disk, path, &|copy| match sound_bytes(disk, copy, store, base) {
        Ok(copied) if copied >= sound => Ok(()),
        Err(_) if sound == 0 => Ok(()),
        Ok(offset) => Err(two_reads_differ(path, offset)),
        Err(e) if e.reason() == Reason::DataCorrupt => Err(two_reads_differ(path, 0)),
        // Not for want of a descriptor is it written where it is, of which nothing is left if that was read wrongly.
        Err(e) => Err(Error::new(Reason::ReadFailed, e.detail().to_owned())),
    })
}

/// Checks the header of a segment's file.
fn header(file: &dyn File, path: &Path, store: StoreId, base: u64) -> Result<Header> {
    let bytes = read_up_to(file, HEADER_BYTES, 0).map_err(|e| failed("open", path, &e))?;
    let header = Header::decode(&bytes, FileKind::Events, Some(store), path)?;
    if header.base == base {
        return Ok(header);
    }
    let detail = format!("{}: starts at event {}; nothing was changed", path.display(), header.base);
    Err(Error::new(Reason::WrongStore, detail))
}

fn note(index: &mut Vec<(u64, u64)>, seq: u64, offset: u64) {
    if index.last().is_none_or(|(_, last)| offset - last >= INDEX_STEP_BYTES) {
        index.push((seq, offset));
    }
}
