//! Segments of the event log and their indexes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backend_api::{EventFrame, Micros, Seq};
use bytes::Bytes;

use super::STORE;
use super::memory::Memory;
use crate::events::{EventLog, EventOptions, sound_bytes};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::u32_at;

const DIRECTORY: &str = "events";
const FIRST: &str = "events/0000000000000001.segment";
const INDEX: &str = "events/0000000000000001.index";
/// So small that each read goes to a segment.
const OPTIONS: EventOptions = EventOptions { segment_bytes: 64 << 10, ring_bytes: 1, map_sealed: false };
/// Bytes of an entry before its frame.
const ENTRY_HEADER_BYTES: usize = 24;

fn open(disk: &Arc<Memory>, durable: u64) -> backend_api::Result<EventLog> {
    EventLog::open(Arc::clone(disk) as _, PathBuf::from(DIRECTORY), STORE, OPTIONS, durable, 1)
}

fn segment_header(base: u64) -> Vec<u8> {
    Header { kind: FileKind::Events, store: STORE, number: base, base, chain: 0 }.encode().to_vec()
}

fn all(log: &EventLog) -> backend_api::Result<Vec<EventFrame>> {
    log.events(0, usize::MAX, usize::MAX)
}

/// What looks like entries, with right checksums.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(head) = out.get(at..at + ENTRY_HEADER_BYTES) {
        let end = at + ENTRY_HEADER_BYTES + u32_at(head, 4) as usize;
        let Some(entry) = out.get(at + 4..end) else { break };
        let crc = crc32fast::hash(entry);
        out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    out
}

/// A segment with any bytes behind its header is read up to the first damage: numbers follow each other, and what was read
/// is written as the same bytes. What a checkpoint vouched for is not cut off, but reported.
pub fn segment(bytes: &[u8]) {
    for body in [bytes.to_vec(), resealed(bytes)] {
        let whole = [segment_header(1), body].concat();
        let sound = sound_bytes(&*Memory::new(&[(FIRST, whole.clone())]), Path::new(FIRST), STORE, 1);
        let sound = sound.expect("damage is no error of reading") as usize;
        let disk = Memory::new(&[(FIRST, whole.clone())]);
        let log = open(&disk, 0).expect("nothing is vouched for");
        let events = all(&log).expect("what is there was found sound");
        assert_eq!(disk.bytes(Path::new(FIRST)).as_deref(), Some(&whole[..sound]), "cut behind the last event");
        let numbers: Vec<u64> = events.iter().map(|event| event.seq.get()).collect();
        assert!(numbers.iter().copied().eq(1..=events.len() as u64), "{numbers:?}");
        let again = Memory::new(&[]);
        let copy = open(&again, 0).expect("an empty log is opened");
        copy.publish(events);
        copy.flush().expect("it is written");
        if !numbers.is_empty() {
            let first = again.bytes(Path::new(FIRST)).expect("the first segment");
            assert!(whole.starts_with(&first), "events are written as they were read");
        }
        let head = numbers.len() as u64;
        let disk = Memory::new(&[(FIRST, whole.clone())]);
        match open(&disk, head + 1) {
            Err(refused) => assert!(refused.detail().contains(DIRECTORY), "{refused}"),
            // The caller sees that it ends too early.
            Ok(log) => {
                assert_eq!(whole.len(), sound, "damage in what is vouched for is reported");
                assert_eq!(log.window().expect("a window").head.get(), head);
            }
        }
        assert_eq!(disk.bytes(Path::new(FIRST)), Some(whole), "nothing was changed");
    }
}

/// Events enough for an index with several entries, and one in the next segment.
fn sealed() -> &'static (Vec<EventFrame>, Vec<u8>, Vec<u8>) {
    static SEALED: OnceLock<(Vec<EventFrame>, Vec<u8>, Vec<u8>)> = OnceLock::new();
    SEALED.get_or_init(|| {
        let event = |seq: u64| EventFrame {
            seq: Seq::new(seq).expect("a number"),
            at: Micros(seq),
            frame: Bytes::from(vec![seq as u8; 1_500]),
        };
        let events: Vec<EventFrame> = (1..=44).map(event).collect();
        let disk = Memory::new(&[]);
        let log = open(&disk, 0).expect("an empty log is opened");
        events.iter().for_each(|event| {
            log.publish(vec![event.clone()]);
            log.flush().expect("it is written");
        });
        let second = events.len() as u64;
        let second = format!("events/{second:016}.segment");
        let file = |path: &str| disk.bytes(Path::new(path)).unwrap_or_else(|| panic!("{path} is not there"));
        (events, file(FIRST), file(&second))
    })
}

/// Whatever stands in an index, each cursor gives the right events, or the damage is named.
pub fn index(bytes: &[u8]) {
    let (events, first, second) = sealed();
    let next = events.len() as u64;
    let header = Header { kind: FileKind::EventIndex, store: STORE, number: next, base: 1, chain: 0 }.encode();
    let mut made = [&header[..], bytes].concat();
    try_index(events, first, second, &made, false);
    try_index(events, first, second, bytes, false);
    // With its checksum made right it is believed, and what it leads to is looked at.
    if made.len() >= HEADER_BYTES + 8 {
        let entries = (u32_at(&made, HEADER_BYTES + 4) as usize).min((made.len() - HEADER_BYTES - 8) / 16);
        made[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&(entries as u32).to_le_bytes());
        let crc = crc32fast::hash(&made[HEADER_BYTES + 4..HEADER_BYTES + 8 + entries * 16]);
        made[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
        try_index(events, first, second, &made, true);
    }
}

fn try_index(events: &[EventFrame], first: &[u8], second: &[u8], index: &[u8], lies: bool) {
    let last = events.len() as u64;
    let name = format!("events/{last:016}.segment");
    let files = [(FIRST, first.to_vec()), (name.as_str(), second.to_vec()), (INDEX, index.to_vec())];
    let disk = Memory::new(&files);
    let log = open(&disk, last).expect("an index keeps no store from opening");
    for after in [0, 1, 21, 22, 40, last - 2, last - 1] {
        match log.events(after, 3, usize::MAX) {
            Ok(found) => {
                let right = &events[after as usize..events.len().min(after as usize + 3)];
                assert_eq!(found, right, "after {after}");
            }
            Err(e) => {
                let detail = e.detail();
                assert!(lies && detail.contains(FIRST), "after {after}: {detail}");
            }
        }
    }
}
