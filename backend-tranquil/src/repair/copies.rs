//! Where else the bytes of a block are: in the parity of its file, in the rows of the records (which make the tree), in
//! events, and in other places of the log. Whatever is found is hashed against the CID.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use backend_api::car::{CarEvent, CarReader};
use backend_api::cbor::Reader;
use backend_api::tree::{self, Key};
use backend_api::{Cid, RecordRow, Repo, RepoId, Result};
use bytes::Bytes;

use super::lost::Lost;
use crate::core::Shared;
use crate::format::frame::{BLOCK_PREFIX_BYTES, BlockHint, FrameKind};
use crate::format::header::HEADER_BYTES;
use crate::format::key::{self, Space};
use crate::format::value::{self, Place};
use crate::io::File;
use crate::log::{each_frame, open_hint};

/// Bytes that one repair holds at the most; what is beyond them is the next one's work.
const BYTES_MAX: usize = 64 << 20;
/// Events read at a time.
const EVENTS_STEP: usize = 1_024;
const EVENTS_STEP_BYTES: usize = 4 << 20;
/// The key of the blocks in a frame, as CBOR.
const BLOCKS_KEY: &[u8] = b"\x66blocks";

/// Bytes that were found, and where.
#[derive(Clone)]
pub struct Copy {
    pub bytes: Bytes,
    pub from: &'static str,
}

struct Search<'a> {
    shared: &'a Shared,
    wanted: BTreeSet<Cid>,
    found: BTreeMap<Cid, Copy>,
    bytes: usize,
}

/// Looks for the bytes of damaged blocks.
pub fn of(shared: &Shared, lost: &[Lost]) -> Result<Vec<(Lost, Copy)>> {
    let wanted = lost.iter().map(|lost| lost.cid).collect();
    let mut search = Search { shared, wanted, found: BTreeMap::new(), bytes: 0 };
    for lost in lost {
        if let Some(bytes) = shared.log.block_of_sidecar(lost.place, &lost.cid) {
            search.take(lost.cid, bytes, "parity");
        }
    }
    let repos: BTreeSet<RepoId> = lost.iter().map(|lost| lost.repo).collect();
    for repo in repos {
        if search.is_done() {
            break;
        }
        search.tree(repo)?;
    }
    search.log()?;
    search.events();
    let pair = |lost: &Lost| Some((*lost, search.found.get(&lost.cid)?.clone()));
    Ok(lost.iter().filter_map(pair).collect())
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        self.wanted.is_empty() || self.bytes >= BYTES_MAX
    }

    fn take(&mut self, cid: Cid, bytes: Bytes, from: &'static str) {
        if !self.is_done() && cid.matches(&bytes) && self.wanted.remove(&cid) {
            self.bytes += bytes.len();
            self.found.insert(cid, Copy { bytes, from });
        }
    }

    /// The tree of a generation follows from its records.
    fn tree(&mut self, repo: RepoId) -> Result<()> {
        let state = std::sync::Arc::clone(&self.shared.tables().store);
        let Some(stored) = state.get(&key::repo(repo))? else { return Ok(()) };
        let root = value::decode::<Repo>(&stored, "repo")?.data;
        let prefix = key::numbered(Space::Record, repo.0);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let mut records = Vec::new();
        for pair in state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
            let (k, v) = pair?;
            let row: RecordRow = value::decode(&v, "record")?;
            records.push((Key::from(&key::read_record(&k)?.1), row.cid));
        }
        let (built, nodes) = tree::build(records);
        if Some(built) == root {
            for (cid, bytes) in nodes.iter().filter(|(cid, _)| self.wanted.contains(*cid)).collect::<Vec<_>>() {
                self.take(*cid, bytes.clone(), "the rows of its records");
            }
        }
        Ok(())
    }

    /// Other generations have blocks of their own, and a block that comes twice is written twice.
    fn log(&mut self) -> Result<()> {
        for number in self.shared.log.numbers()? {
            if self.is_done() {
                break;
            }
            let mut places = Vec::new();
            let path = self.shared.log.path(number);
            let ended = match open_hint(&self.shared.log, number) {
                Some(hint) => self.hinted(&*hint, &path, number, &mut places),
                None => self.unhinted(&path, number, &mut places),
            };
            if let Err(e) = ended {
                tracing::warn!(error = %e, "what is behind this is not looked at");
            }
            for (cid, place) in places {
                if let Ok(bytes) = self.shared.log.block(place, &cid) {
                    self.take(cid, bytes, "another place of the log");
                }
            }
        }
        Ok(())
    }

    fn hinted(&self, hint: &dyn File, path: &Path, file: u32, places: &mut Vec<(Cid, Place)>) -> Result<u64> {
        each_frame(hint, path, HEADER_BYTES as u64, u64::MAX, |_, frame, _| {
            let hint = (frame.kind == FrameKind::BlockHint).then(|| BlockHint::decode(frame.payload)).flatten();
            if let Some(hint) = hint.filter(|hint| self.wanted.contains(&hint.cid)) {
                places.push((hint.cid, Place { file, offset: hint.offset, len: hint.len }));
            }
            Ok(())
        })
    }

    fn unhinted(&self, path: &Path, file: u32, places: &mut Vec<(Cid, Place)>) -> Result<u64> {
        let log = self.shared.log.get(file)?;
        each_frame(&*log, path, HEADER_BYTES as u64, u64::MAX, |offset, frame, _| {
            let cid = frame.payload.get(..Cid::KEY_BYTES).map(Cid::from_key);
            if let (FrameKind::Block, Some(Ok(cid))) = (frame.kind, cid)
                && self.wanted.contains(&cid)
            {
                places.push((cid, Place { file, offset, len: (frame.len() - BLOCK_PREFIX_BYTES) as u32 }));
            }
            Ok(())
        })
    }

    /// What was announced lately is in the events, which have their bytes from elsewhere. A damaged one is passed over.
    fn events(&mut self) {
        let pinned = self.shared.events.pin();
        let mut after = pinned.oldest.saturating_sub(1);
        while !self.is_done() {
            let Ok(events) = pinned.events(after, EVENTS_STEP, EVENTS_STEP_BYTES) else { break };
            let Some(last) = events.last() else { break };
            after = last.seq.get();
            for event in &events {
                self.frame(&event.frame);
            }
        }
    }

    /// The blocks of a frame: wherever its key stands and a CAR follows. What is found is hashed, so nothing is mistaken.
    fn frame(&mut self, frame: &[u8]) {
        for at in 0..frame.len().saturating_sub(BLOCKS_KEY.len()) {
            if !frame[at..].starts_with(BLOCKS_KEY) {
                continue;
            }
            let Ok(car) = Reader::new(&frame[at + BLOCKS_KEY.len()..]).bytes() else { continue };
            let mut reader = CarReader::new();
            reader.push(car);
            while let Ok(Some(event)) = reader.next() {
                if let CarEvent::Block { cid, bytes, .. } = event {
                    self.take(cid, bytes, "an event");
                }
            }
        }
    }
}
