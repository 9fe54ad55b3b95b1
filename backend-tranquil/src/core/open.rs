//! Opening a store: identity, metadata, events, replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::checkpoint::Checkpointer;
use super::committer::Committer;
use super::identity::identity;
use super::keeper::Keeper;
use super::shared::{Counters, Shared};
use super::space::log_bytes_kept;
use super::{replay, tail};
use crate::events::{EventLog, EventOptions};
use crate::format::StoreId;
use crate::format::frame::{CYCLE_END_PAYLOAD_BYTES, CycleEnd, FRAME_HEADER_BYTES, Parsed, parse};
use crate::format::header::HEADER_BYTES;
use crate::format::key;
use crate::format::value::{self, Mark};
use crate::io::{Disk, Env, discard_unfinished, failed, read_up_to, two_reads_differ};
use crate::log::{CycleScan, LogFiles, LogWriter, Position, Scanned, Sizes, Start, Tail, classify, is_gone};
use crate::meta::{MetaKv, MetaSnapshot, SnapshotPairs, newest_snapshot, snapshot_beyond};
use crate::options::Options;
use crate::parity::{self, Sidecar};

/// So often a torn tail is looked at once more before it is cut.
const LOOKS: usize = 8;

/// Opens the key-value store in a directory that is there, or creates it in one that is not.
pub type OpenKv = dyn Fn(&Path) -> Result<Arc<dyn MetaKv>>;

/// The parts of an open store.
pub struct Opened {
    pub shared: Arc<Shared>,
    pub committer: Committer,
    pub checkpointer: Checkpointer,
    pub keeper: Keeper,
}

/// What is where in a store's directory.
pub(super) struct Paths {
    pub store: PathBuf,
    pub log: PathBuf,
    pub events: PathBuf,
    meta: PathBuf,
    pub snapshots: PathBuf,
}

impl Paths {
    pub fn of(directory: &Path) -> Self {
        Self {
            store: directory.join("STORE"),
            log: directory.join("log"),
            events: directory.join("events"),
            meta: directory.join("meta"),
            snapshots: directory.join("snapshots"),
        }
    }

    /// While this is there, the metadata store is not used but made again.
    pub fn rebuild_marker(&self) -> PathBuf {
        self.meta.with_extension("rebuild")
    }
}

/// Opens or creates the store in `options.directory`, which the caller holds the lock of. Everything acknowledged is
/// there when this returns, or it returns an error and nothing was thrown away.
pub fn open(env: Env, options: Options, open_kv: &OpenKv) -> Result<Opened> {
    let paths = Paths::of(&options.directory);
    for directory in [&paths.log, &paths.events, &paths.snapshots] {
        env.disk.create_directory(directory).map_err(|e| failed("create", directory, &e))?;
        parity::finish_swaps(&*env.disk, directory)?;
    }
    let store = identity(&env, &paths)?;
    for directory in [&paths.log, &paths.events, &paths.snapshots] {
        discard_unfinished(&*env.disk, directory)?;
    }
    // Names that a crash left before their sync are durable before anything is built on them.
    for directory in [&paths.log, &paths.events, &options.directory] {
        env.disk.sync_directory(directory).map_err(|e| failed("sync", directory, &e))?;
    }
    let log = Arc::new(LogFiles::new(Arc::clone(&env.disk), paths.log.clone(), store));
    let is_new = log.numbers()?.is_empty();
    if let Some(path) = log.lost_end()? {
        return Err(is_gone(&path));
    }
    if let Some(path) = log.missing()? {
        tracing::error!(file = %path.display(), "a file of the log is missing; what it had cannot be read: restore it");
    }
    let counters = Counters::default();
    let from = Sources { env: &env, paths: &paths, log: &log, store, is_new, open_kv, counters: &counters };
    let kv = from.metadata(u64::MAX)?;
    let (mut mark, mut events) = beside(&env, &options, &paths, store, &*kv)?;
    let head = events.window()?.head.get();
    let kv = if head < mark.seq {
        drop(events);
        kv.close();
        let kv = from.metadata_before(head, mark.seq)?;
        (mark, events) = beside(&env, &options, &paths, store, &*kv)?;
        kv
    } else {
        kv
    };
    let sizes = Sizes { file_bytes: options.log_file_bytes, kept_bytes: log_bytes_kept(&options) };
    let shared = Arc::new(Shared::new(env, options, store, Arc::clone(&log), kv, events, mark, counters));
    let mut checkpointer = Checkpointer::new(Arc::clone(&shared));
    let keeper = Keeper::new(Arc::clone(&shared), paths.snapshots);
    let writer = if is_new {
        let writer = LogWriter::create(log, sizes)?;
        let at = writer.position();
        let mut tables = shared.tables_mut();
        (tables.mark.file, tables.mark.offset) = (at.file, at.offset);
        drop(tables);
        writer
    } else {
        replay_log(&shared, &mut checkpointer, mark, sizes)?
    };
    // Retention may have gone on in what was replayed.
    let oldest = shared.value(key::EVENTS_OLDEST, "oldest event")?.unwrap_or(1);
    shared.events.begins_by(oldest)?;
    shared.events.drop_before(oldest)?;
    let committer = Committer::new(Arc::clone(&shared), writer);
    Ok(Opened { shared, committer, checkpointer, keeper })
}

/// Where the metadata stands, and the events beside it.
fn beside(env: &Env, options: &Options, paths: &Paths, store: StoreId, kv: &dyn MetaKv) -> Result<(Mark, EventLog)> {
    let state = kv.snapshot();
    let mark = mark_of(&*state)?;
    let event_options = EventOptions {
        segment_bytes: options.segment_bytes,
        ring_bytes: options.ring_bytes,
        map_sealed: options.map_sealed_segments,
    };
    let (disk, oldest) = (Arc::clone(&env.disk), events_oldest(&*state)?);
    let events = EventLog::open(disk, paths.events.clone(), store, event_options, mark.seq, oldest)?;
    Ok((mark, events))
}

/// What the metadata is made of.
struct Sources<'a> {
    env: &'a Env,
    paths: &'a Paths,
    log: &'a Arc<LogFiles>,
    store: StoreId,
    is_new: bool,
    open_kv: &'a OpenKv,
    counters: &'a Counters,
}

impl Sources<'_> {
    /// The events end before what the metadata tells of: files of theirs are gone. The log has what they were made of: it is
    /// replayed from a copy of the metadata that tells of no event beyond their end, or from its first file.
    fn metadata_before(&self, head: u64, durable: u64) -> Result<Arc<dyn MetaKv>> {
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
        self.metadata(head)
    }

    /// The metadata store, rebuilt from a copy and the log if it is missing, damaged or not of this log, or tells of an event
    /// beyond `head`.
    fn metadata(&self, head: u64) -> Result<Arc<dyn MetaKv>> {
        let Self { env, paths, log, store, is_new, open_kv, counters } = *self;
        let disk = &*env.disk;
        let there = disk.exists(&paths.meta).map_err(|e| failed("open", &paths.meta, &e))?;
        let marker = paths.rebuild_marker();
        let is_given_up = disk.exists(&marker).map_err(|e| failed("open", &marker, &e))?;
        if there && !is_given_up {
            let opened = open_kv(&paths.meta).and_then(|kv| match mark_of(&*kv.snapshot()) {
                Ok(mark) => Ok((kv, mark)),
                Err(e) => {
                    kv.close();
                    Err(e)
                }
            });
            match opened {
                Ok((kv, mark)) if mark.seq > head => kv.close(),
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
        if is_new {
            nothing_is_there(disk, paths)?;
        }
        if there {
            disk.remove_directory(&paths.meta).map_err(|e| failed("remove", &paths.meta, &e))?;
        }
        // Created aside: a crash while the key-value store makes its files leaves nothing that looks like one.
        let aside = paths.meta.with_extension("tmp");
        let copies = if is_new { Vec::new() } else { newest_snapshot(disk, &paths.snapshots)? };
        Counters::add(&counters.rebuilt, u64::from(!is_new));
        let mut copies = copies.into_iter();
        let kv = loop {
            // Also what a damaged copy left of itself.
            if disk.exists(&aside).map_err(|e| failed("open", &aside, &e))? {
                disk.remove_directory(&aside).map_err(|e| failed("remove", &aside, &e))?;
            }
            let kv = open_kv(&aside)?;
            // With none left, the log is replayed from its first file.
            let Some((pos, path)) = copies.next() else { break kv };
            match fill(disk, &*kv, &path, store)? {
                Ok(()) if mark_of(&*kv.snapshot())?.seq > head => {}
                Ok(()) => {
                    tracing::info!(pos, "metadata taken from a copy");
                    break kv;
                }
                Err(e) => tracing::error!(error = %e, "a copy of the metadata is damaged; trying an older one"),
            }
            kv.close();
        };
        kv.close();
        disk.rename(&aside, &paths.meta).map_err(|e| failed("rename", &aside, &e))?;
        let parent = paths.meta.parent().unwrap_or(&paths.meta);
        disk.sync_directory(parent).map_err(|e| failed("sync", parent, &e))?;
        if is_given_up {
            disk.remove(&marker).map_err(|e| failed("remove", &marker, &e))?;
        }
        let kv = open_kv(&paths.meta)?;
        // A copy may be of a state that the log no longer reaches.
        matches_log(&mark_of(&*kv.snapshot())?, log).inspect_err(|_| kv.close())?;
        Ok(kv)
    }
}

/// A log without a file is that of a new store, unless anything else says that there was one.
fn nothing_is_there(disk: &dyn Disk, paths: &Paths) -> Result<()> {
    for directory in [&paths.events, &paths.snapshots] {
        let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
        if let Some(name) = names.first() {
            let (log, other) = (paths.log.display(), directory.join(name));
            let detail = format!(
                "{log}: the log has no file, yet {} is there: acknowledged data is missing; nothing was changed: restore \
                 the files of the log",
                other.display()
            );
            return Err(Error::new(Reason::WrongStore, detail));
        }
    }
    Ok(())
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

/// Finds the end of the log, makes it sound and durable, then takes everything behind the mark again.
fn replay_log(shared: &Arc<Shared>, checkpointer: &mut Checkpointer, mark: Mark, sizes: Sizes) -> Result<LogWriter> {
    let log = &shared.log;
    let Some(start) = replay::start(log, &mark)? else {
        return Err(Error::new(Reason::WrongStore, "the log has no file; nothing was changed".to_owned()));
    };
    let end = find_end(shared, start, &mark)?;
    shared.events.remove_beyond()?;
    if end.cycles > 0 || end.torn.is_some() {
        if let Some(torn) = end.torn {
            let bytes = tail::keep_torn(shared, end.at, torn)?;
            Counters::add(&shared.counters.torn_bytes, bytes);
            tracing::warn!(file = end.at.file, offset = end.at.offset, bytes, "an unacknowledged tail was cut off");
        }
        // Before anything is published or drained that a power cut could take from under it.
        tail::rewrite(log, end.at)?;
    }
    let mut scan = CycleScan::new(Arc::clone(log), start)?.with_hints();
    let event_head = shared.events.window()?.head.get();
    while scan.position().cycle < end.at.cycle {
        match scan.next()? {
            // A hint has no bytes to make events of.
            Scanned::Cycle(cycle) if cycle.hinted && replay::may_append_events(&cycle, event_head) => {
                scan.without_hint(&cycle);
            }
            Scanned::Cycle(cycle) => {
                replay::apply(shared, cycle, scan.position())?;
                drain_if_full(shared, checkpointer)?;
            }
            Scanned::Stop(at, why) => {
                let detail = format!("{}: {why}, where it was whole a moment ago", log.path(at.file).display());
                return Err(Error::new(Reason::DataCorrupt, detail));
            }
        }
    }
    {
        let mut tables = shared.tables_mut();
        let mark = &mut tables.mark;
        (mark.file, mark.offset, mark.cycle, mark.chain) = (end.at.file, end.at.offset, end.at.cycle, end.at.chain);
    }
    LogWriter::resume(Arc::clone(log), end.at, sizes)
}

/// Where the log ends.
struct End {
    at: Position,
    /// Cycles behind the mark.
    cycles: u64,
    /// The end of what was never acknowledged.
    torn: Option<u64>,
}

fn find_end(shared: &Arc<Shared>, start: Start, mark: &Mark) -> Result<End> {
    let log = &shared.log;
    let mut scan = CycleScan::new(Arc::clone(log), start)?.with_hints();
    let (mut cycles, mut last_seq, mut last_pos) = (0, mark.seq, mark.pos);
    let why = loop {
        match scan.next()? {
            Scanned::Cycle(cycle) => {
                cycles += 1;
                last_seq = replay::last_seq(&cycle).unwrap_or(last_seq);
                last_pos = replay::last_pos(&cycle).unwrap_or(last_pos);
            }
            Scanned::Stop(_, why) => break why,
        }
    };
    let at = scan.position();
    let head = shared.events.told();
    let snapshots = Paths::of(&shared.options.directory).snapshots;
    let copy = snapshot_beyond(log.disk(), &snapshots, log.store(), last_pos)?;
    let torn = match classify(log, at, &why)? {
        Tail::Rotten(detail) => {
            let detail = format!("{detail}; acknowledged data is damaged, nothing was changed: restore the file");
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        // A sidecar is made of what was acknowledged.
        _ if Sidecar::open(log.disk(), &log.path(at.file), log.store()).is_some_and(|s| s.covered() > at.offset) => {
            let detail = format!(
                "{}: {why}; its sidecar tells of more: acknowledged data is damaged, nothing was changed: restore the file",
                log.path(at.file).display()
            );
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        // Events are appended after the sync: what they tell of was acknowledged.
        _ if head > last_seq => {
            let path = log.path(at.file);
            let detail = format!(
                "{}: {why}; the log ends at event {last_seq}, yet event {head} was published: acknowledged data is \
                 damaged, nothing was changed: restore the file",
                path.display()
            );
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        _ if let Some((pos, copy)) = copy => {
            let detail = format!(
                "{}: {why}; the log ends at mutation {last_pos}, yet {} has mutation {pos}: acknowledged data is missing, \
                 nothing was changed: restore the newest log file",
                log.path(at.file).display(),
                copy.display()
            );
            return Err(Error::new(Reason::DataCorrupt, detail));
        }
        Tail::Clean => None,
        Tail::Torn(end) => {
            // What no event and no sidecar tells of is cut off by this alone: not because of bad reads.
            for _ in 0..LOOKS {
                if let Scanned::Cycle(_) = CycleScan::new(Arc::clone(log), Start::After(at))?.next()? {
                    return Err(two_reads_differ(&log.path(at.file), at.offset));
                }
            }
            Some(end)
        }
    };
    Ok(End { at, cycles, torn })
}

fn drain_if_full(shared: &Arc<Shared>, checkpointer: &mut Checkpointer) -> Result<()> {
    {
        let mut tables = shared.tables_mut();
        if tables.active.bytes() < shared.options.memtable_bytes_max {
            return Ok(());
        }
        if tables.frozen.is_none() {
            tables.freeze(shared.options.memtable_bytes_max);
        }
    }
    match checkpointer.drain() {
        // It stays in memory, where it was before: no more was taken than memory has room for.
        Err(e) if e.reason() == Reason::StorageFull => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The mark of a state.
pub fn mark_of(state: &dyn MetaSnapshot) -> Result<Mark> {
    Ok(state.get(key::MARK)?.map(|bytes| value::decode(&bytes, "mark")).transpose()?.unwrap_or_default())
}

fn events_oldest(state: &dyn MetaSnapshot) -> Result<u64> {
    let stored = state.get(key::EVENTS_OLDEST)?.map(|bytes| value::decode(&bytes, "oldest event")).transpose()?;
    Ok(stored.unwrap_or(1))
}
