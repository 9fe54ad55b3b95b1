//! Healing files from their sidecars: at an open that met damage, and when somebody asks for repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::identity::identity;
use super::open::{OpenKv, Opened, Paths};
use super::shared::{Counters, Shared};
use super::space;
use crate::events;
use crate::format::header::{self, HEADER_BYTES};
use crate::io::{Disk, Env, failed, read_up_to};
use crate::log::{CycleScan, LogFiles, Scanned};
use crate::meta::{check_snapshot, newest_snapshot};
use crate::options::Options;
use crate::parity::{self, Sidecar, Unreadable};

/// What healing came to.
#[derive(Default)]
pub struct Healed {
    /// What was healed, one sentence each.
    pub healed: Vec<String>,
    /// What could not be, and why.
    pub lost: Vec<String>,
    /// Bytes that were damaged and are right again.
    pub bytes: u64,
}

/// Opens or creates a store. If that meets damage, files are healed from their sidecars, and it is tried once more.
///
/// # Errors
/// As [`super::open::open`].
pub fn open(env: Env, options: Options, open_kv: &OpenKv) -> Result<Opened> {
    let mut healed = Healed::default();
    if options.repair {
        heal_closed(&env, &options, Unreadable::Damaged, &mut healed)?;
    }
    let opened = match space::open(env.clone(), options.clone(), open_kv) {
        Err(e) if matches!(e.reason(), Reason::DataCorrupt | Reason::WrongStore) => {
            tracing::error!(error = %e, "the store does not open; comparing its files with their sidecars");
            let before = healed.bytes;
            if let Err(cannot) = heal_closed(&env, &options, Unreadable::Error, &mut healed) {
                tracing::error!(error = %cannot, "files cannot be healed");
            }
            if healed.bytes == before {
                let detail = healed.lost.iter().fold(e.detail().to_owned(), |all, lost| format!("{all}; {lost}"));
                return Err(Error::new(e.reason(), detail));
            }
            space::open(env, options, open_kv)?
        }
        other => other?,
    };
    Counters::add(&opened.shared.counters.healed_bytes, healed.bytes);
    *opened.shared.healed.lock().expect("no panic under this lock") = healed.healed;
    Ok(opened)
}

/// Heals what there is of a store that is not open.
fn heal_closed(env: &Env, options: &Options, unreadable: Unreadable, healed: &mut Healed) -> Result<()> {
    let paths = Paths::of(&options.directory);
    let disk = &*env.disk;
    if !exists(disk, &paths.log)? {
        return Ok(());
    }
    let store = identity(env, &paths)?;
    let log = Arc::new(LogFiles::new(Arc::clone(&env.disk), paths.log.clone(), store));
    for subject in subjects(disk, &paths, &log)? {
        heal(disk, &log, &subject, unreadable, healed)?;
    }
    Ok(())
}

/// Says whether somebody still waits for what is being done: the error to end with if not.
pub type Wanted<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Heals the files of an open store that nothing is appended to any more. Ends early, between two of them, if `wanted` says
/// so.
pub fn heal_sealed(shared: &Shared, wanted: Wanted<'_>) -> Result<Healed> {
    let paths = Paths::of(&shared.options.directory);
    let (disk, log) = (&*shared.env.disk, &shared.log);
    let (newest_log, newest_segment) = (shared.tables().mark.file, shared.events.newest_segment());
    let mut healed = Healed::default();
    for subject in subjects(disk, &paths, log)? {
        wanted()?;
        let grows = match subject.sort {
            Sort::Log(number) => number >= newest_log,
            Sort::Events(base) => Some(base) >= newest_segment,
            Sort::Snapshot(_) => false,
        };
        let done = if grows {
            told_if_damaged(disk, log, &subject, &mut healed).map(|()| false)
        } else {
            heal(disk, log, &subject, Unreadable::Damaged, &mut healed)
        };
        let is_healed = match done {
            // Retention took it meanwhile, or a newer copy its place.
            Err(_) if goes(subject.sort) && !exists(disk, &subject.path)? => continue,
            done => done?,
        };
        if is_healed {
            match subject.sort {
                Sort::Log(number) => log.forget(number),
                Sort::Events(base) => shared.events.reopen(base)?,
                Sort::Snapshot(_) => {}
            }
        }
    }
    Counters::add(&shared.counters.healed_bytes, healed.bytes);
    Ok(healed)
}

/// True if such files are removed in good order beside those who read them.
const fn goes(sort: Sort) -> bool {
    matches!(sort, Sort::Events(_) | Sort::Snapshot(_))
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool> {
    disk.exists(path).map_err(|e| failed("open", path, &e))
}

/// The metadata store is damaged: the next open makes it again, from a copy and the log.
pub fn rebuild_at_next_open(shared: &Shared) -> Result<()> {
    let marker = Paths::of(&shared.options.directory).rebuild_marker();
    let disk = &*shared.env.disk;
    let fail = |e: std::io::Error| failed("create", &marker, &e);
    if !disk.exists(&marker).map_err(fail)? {
        disk.create(&marker).and_then(|file| file.sync()).map_err(fail)?;
    }
    disk.sync_directory(&shared.options.directory).map_err(fail)
}

/// A file that has a sidecar.
struct Subject {
    sort: Sort,
    path: PathBuf,
}

/// What it is, and its number.
#[derive(Clone, Copy)]
enum Sort {
    Log(u32),
    Events(u64),
    Snapshot(u64),
}

impl Sort {
    fn number(self) -> u64 {
        match self {
            Self::Log(number) => u64::from(number),
            Self::Events(number) | Self::Snapshot(number) => number,
        }
    }
}

fn subjects(disk: &dyn Disk, paths: &Paths, log: &LogFiles) -> Result<Vec<Subject>> {
    let logs = log.numbers()?.into_iter().map(|number| Subject { sort: Sort::Log(number), path: log.path(number) });
    let segments = events::paths(disk, &paths.events)?.into_iter();
    let segments = segments.map(|(base, path)| Subject { sort: Sort::Events(base), path });
    let snapshots = newest_snapshot(disk, &paths.snapshots)?.into_iter();
    let snapshots = snapshots.map(|(pos, path)| Subject { sort: Sort::Snapshot(pos), path });
    Ok(logs.chain(segments).chain(snapshots).collect())
}

/// Compares a file with its sidecar, and heals it if it differs and is not sound by itself. True if it was healed.
fn heal(
    disk: &dyn Disk,
    log: &Arc<LogFiles>,
    subject: &Subject,
    unreadable: Unreadable,
    healed: &mut Healed,
) -> Result<bool> {
    let path = &subject.path;
    let name = path.display();
    let Some((sidecar, found)) = differs(disk, log, subject, unreadable)? else { return Ok(false) };
    if let Some(first) = found.lost.first() {
        let (lost, chunks) = (found.lost.len(), found.lost.len() + found.found.len());
        healed.lost.push(format!(
            "{name}: offset {first}: {lost} of {chunks} damaged chunks cannot be told from its sidecar; nothing was \
             changed: restore the file"
        ));
        return Ok(false);
    }
    let covered = found.covered;
    let check = |copy: &Path| {
        let sound = sound_bytes(disk, log, subject.sort, copy)?;
        if sound >= covered {
            return Ok(());
        }
        let detail = format!("{}: offset {sound}: damaged also after healing; {name} was not changed", copy.display());
        Err(Error::new(Reason::DataCorrupt, detail))
    };
    if let Err(e) = parity::write_healed(disk, path, &sidecar, &found, &check) {
        healed.lost.push(format!("{name}: no healed copy could be made of it: {e}"));
        return Ok(false);
    }
    let kept = parity::put_in_place(disk, path)?;
    let bytes = found.found_bytes();
    let told =
        format!("{name}: {bytes} bytes were healed from its sidecar; as it was it is kept as {}", kept.display());
    tracing::warn!("{told}");
    healed.healed.push(told);
    healed.bytes += bytes;
    Ok(true)
}

/// A file that is being written is healed by an open: beside its writer it keeps its place.
fn told_if_damaged(disk: &dyn Disk, log: &Arc<LogFiles>, subject: &Subject, healed: &mut Healed) -> Result<()> {
    if differs(disk, log, subject, Unreadable::Damaged)?.is_some() {
        let name = subject.path.display();
        healed.lost.push(format!(
            "{name}: it is damaged, and is being written: close the store and run `verify --repair` on it"
        ));
    }
    Ok(())
}

/// What of a file is damaged, if it is.
fn differs(
    disk: &dyn Disk,
    log: &Arc<LogFiles>,
    subject: &Subject,
    unreadable: Unreadable,
) -> Result<Option<(Sidecar, parity::Damage)>> {
    let path = &subject.path;
    let Some(sidecar) = Sidecar::open(disk, path, log.store()) else { return Ok(None) };
    if sidecar.header.number != subject.sort.number() || another_stands_there(disk, path, &sidecar, unreadable)? {
        return Ok(None);
    }
    let file = disk.open(path).map_err(|e| failed("open", path, &e))?;
    let found = parity::damage(&*file, path, &sidecar, unreadable)?;
    if found.is_none() {
        return Ok(None);
    }
    // What has all its checksums is the truth: then the sidecar is of another time.
    match sound_bytes(disk, log, subject.sort, path) {
        Ok(sound) if sound >= found.covered => {
            tracing::warn!(path = %path.display(), "its sidecar is of another state of it, and is removed");
            parity::remove(disk, path);
            Ok(None)
        }
        Err(e) if unreadable == Unreadable::Error => Err(e),
        _ => Ok(Some((sidecar, found))),
    }
}

/// True if a file has a sound header that is not the one it should have: it was put there, and that is no damage.
fn another_stands_there(disk: &dyn Disk, path: &Path, sidecar: &Sidecar, unreadable: Unreadable) -> Result<bool> {
    let file = disk.open(path).map_err(|e| failed("open", path, &e))?;
    match read_up_to(&*file, HEADER_BYTES, 0) {
        Ok(bytes) => Ok(header::is_sound(&bytes) && !sidecar.header.is_beside(&bytes)),
        Err(_) if unreadable == Unreadable::Damaged => Ok(false),
        Err(e) => Err(failed("read", path, &e)),
    }
}

/// Up to where a file, or a copy of it, has all its checksums.
fn sound_bytes(disk: &dyn Disk, log: &Arc<LogFiles>, sort: Sort, path: &Path) -> Result<u64> {
    let sound = match sort {
        Sort::Log(number) => cycles_end(disk, log, number, path),
        Sort::Events(base) => events::sound_bytes(disk, path, log.store(), base),
        Sort::Snapshot(_) => check_snapshot(disk, path, log.store()),
    };
    match sound {
        Err(e) if matches!(e.reason(), Reason::DataCorrupt | Reason::WrongStore) => Ok(0),
        other => other,
    }
}

fn cycles_end(disk: &dyn Disk, log: &Arc<LogFiles>, number: u32, path: &Path) -> Result<u64> {
    let file = disk.open(path).map_err(|e| failed("open", path, &e))?;
    let mut scan = CycleScan::of_copy(log, number, file, path.to_owned())?;
    while let Scanned::Cycle(_) = scan.next()? {}
    Ok(scan.position().offset)
}
