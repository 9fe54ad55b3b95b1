//! Opening a store: identity, metadata, events, replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::checkpoint::Checkpointer;
use super::committer::Committer;
use super::identity::{has_no_log, identity, second_copy};
use super::keeper::Keeper;
use super::metadata::{Sources, events_oldest, let_go, mark_of, take_back};
use super::shared::{Counters, Shared};
use super::space::log_bytes_kept;
use super::{replay, tail};
use crate::events::{EventLog, EventOptions};
use crate::format::StoreId;
use crate::format::key;
use crate::format::value::Mark;
use crate::io::{Env, discard_unfinished, failed, two_reads_differ};
use crate::log::{CycleScan, LogFiles, LogWriter, Position, Scanned, Sizes, Start, Tail, classify, is_gone};
use crate::meta::{MetaKv, snapshot_beyond};
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
    pub meta: PathBuf,
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

    pub fn store_copy(&self) -> PathBuf {
        self.store.with_extension("copy")
    }

    /// Where a metadata store is made before it is one, and where one goes that is none any more.
    pub fn aside(&self) -> PathBuf {
        self.meta.with_extension("tmp")
    }

    /// Metadata that is put back if the open that put it there does not come to its end.
    pub fn kept(&self) -> PathBuf {
        self.meta.with_extension("kept")
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
    if is_new {
        has_no_log(log.disk(), &paths)?;
    }
    if let Some(path) = log.missing()? {
        tracing::error!(file = %path.display(), "a file of the log is missing; what it had cannot be read: restore it");
    }
    let counters = Counters::default();
    let from = Sources { disk: log.disk(), paths: &paths, log: &log, store, is_new, open_kv, counters: &counters };
    take_back(log.disk(), &paths)?;
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
    let keeper = Keeper::new(Arc::clone(&shared), paths.snapshots.clone());
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
    let_go(shared.log.disk(), &paths)?;
    second_copy(shared.log.disk(), &paths);
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
        match replay::next(&mut scan, event_head)? {
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
    let published = shared.events.window()?.head.get();
    let why = loop {
        // What events are made of is seen to be there before any that might be the only copy of it goes.
        match replay::next(&mut scan, published)? {
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
