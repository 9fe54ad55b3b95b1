//! Opening the event log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Error, Reason, Result};

use super::files::SegmentFiles;
use super::log::{EventLog, EventOptions, missing, paths, remove_all};
use super::segment::{Damage, Segment, base_of};
use crate::format::StoreId;
use crate::io::{Disk, failed};
use crate::parity::{self, Sidecar};

impl EventLog {
    /// Opens the log. `durable` is the newest event that a checkpoint vouches for: what is damaged before it is reported,
    /// what is damaged behind it is cut off, to be re-created. Segments before the last are not read. That the newest files
    /// are gone is for the caller to see: then it ends before `durable`. Segments behind a gap are left for
    /// [`EventLog::remove_beyond`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        store: StoreId,
        options: EventOptions,
        durable: u64,
        oldest: u64,
    ) -> Result<Self> {
        let bases: Vec<u64> = paths(&*disk, &directory)?.into_iter().map(|(base, _)| base).collect();
        let mut beyond = Vec::new();
        disk.sync_directory(&directory).map_err(|e| failed("sync", &directory, &e))?;
        let files = Arc::new(SegmentFiles::new(Arc::clone(&disk)));
        let mut segments: BTreeMap<u64, Arc<Segment>> = BTreeMap::new();
        let mut expected: Option<u64> = None;
        for (i, base) in bases.iter().copied().enumerate() {
            // What retention had let go, and an error kept.
            if bases.get(i + 1).is_some_and(|next| *next <= oldest) {
                remove_all(&*disk, &super::segment::path_of(&directory, base))?;
                continue;
            }
            if expected.is_some_and(|next| next != base) {
                // Behind a cut tail: these events come again from the commit log, if it has them.
                if base > durable + 1 {
                    beyond.push(base);
                    continue;
                }
                return Err(missing(&directory, expected.unwrap_or(0), base));
            }
            // A checkpoint vouches for a segment of which the next one begins at or before the newest durable event.
            if let Some(next) = bases.get(i + 1).copied().filter(|next| *next <= durable + 1) {
                let segment = Segment::open_sealed(&files, &directory, store, base, next)?;
                if options.map_sealed {
                    segment.map()?;
                }
                expected = Some(next);
                segments.insert(base, Arc::new(segment));
                continue;
            }
            // What is vouched for is looked at before anything is changed: of damage no second copy is made in its place.
            let path = super::segment::path_of(&directory, base);
            let (covered, mut sound) = (covered(&*disk, &path, store, base), 0);
            if base <= durable || covered > 0 {
                let (segment, damage) = Segment::open(&files, &directory, store, base)?;
                vouched(&segment, damage.as_ref(), durable, covered)?;
                sound = segment.len();
                segment.release();
                files.forget(base);
            }
            // What no checkpoint vouches for may be in the page cache only: it is trusted from fresh blocks.
            super::segment::rewrite(&*disk, &path, store, base, sound)?;
            let (segment, damage) = match Segment::open(&files, &directory, store, base) {
                Err(e) if base > durable && covered == 0 && e.reason() == Reason::DataCorrupt => {
                    (Segment::begin_again(&files, &directory, store, base)?, None)
                }
                other => other?,
            };
            vouched(&segment, damage.as_ref(), durable, covered)?;
            if damage.is_some() {
                segment.cut()?;
                // A sidecar that could not be read may be read the next time, and would tell of what is cut.
                if covered == 0 {
                    parity::remove(&*disk, &path);
                }
            }
            expected = Some(segment.next());
            segments.insert(base, Arc::new(segment));
        }
        for segment in segments.values().rev().skip(1) {
            segment.release();
        }
        let head = expected.map_or(0, |next| next - 1);
        let oldest = oldest.max(segments.keys().next().copied().unwrap_or(head + 1));
        beyond.extend(left(&*disk, &directory)?.into_iter().filter(|base| *base > head));
        beyond.sort_unstable();
        Self::of(files, directory, store, options, segments, (oldest, head), beyond)
    }
}

/// First events of segments that are gone, and of which an index or a sidecar is there.
fn left(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>> {
    let names = disk.list(directory).map_err(|e| failed("list", directory, &e))?;
    let base = |name: &String| base_of(name, ".index").or_else(|| base_of(name, ".parity"));
    let is_gone = |base: &u64| {
        let segment = super::segment::path_of(directory, *base);
        !names.iter().any(|name| segment.ends_with(name))
    };
    Ok(names.iter().filter_map(base).filter(is_gone).collect())
}

/// Up to where the sidecar of a segment covers it. Sidecars are made of what is durable: none of that is a tail that a
/// crash tore, whatever a checkpoint says.
fn covered(disk: &dyn Disk, path: &Path, store: StoreId, base: u64) -> u64 {
    let sidecar = Sidecar::open(disk, path, store).filter(|sidecar| sidecar.header.number == base);
    sidecar.map_or(0, |sidecar| sidecar.covered())
}

/// Refuses damage before the newest event that a checkpoint vouches for, or within what the sidecar covers.
fn vouched(segment: &Segment, damage: Option<&Damage>, durable: u64, covered: u64) -> Result<()> {
    let (next, end) = (segment.next(), segment.len());
    let why = match damage {
        Some(damage) if next <= durable || damage.offset < covered => damage.why,
        None if end < covered => "its sidecar tells of more",
        _ => return Ok(()),
    };
    let detail = format!("{}: offset {end}: event {next}: {why}; nothing was changed", segment.path().display());
    Err(Error::new(Reason::DataCorrupt, detail))
}
