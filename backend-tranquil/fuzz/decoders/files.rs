//! Copies of the metadata, and sidecars.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::OnceLock;

use backend_api::Result;
use bytes::Bytes;

use super::STORE;
use super::memory::Memory;
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::parity::Entry;
use crate::format::u32_at;
use crate::io::Disk;
use crate::meta::{MetaSnapshot, Pairs, SnapshotPairs, check_snapshot, write_snapshot};
use crate::parity::{Cover, Damage, Extent, Sidecar, Unreadable, damage, found_sound};

const SNAPSHOT: &str = "snapshots/0000000000000007.snapshot";

/// The pairs of a copy, as a state of the key-value store.
struct State(BTreeMap<Bytes, Bytes>);

impl MetaSnapshot for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, _: bool) -> Pairs<'_> {
        Box::new(self.0.range::<[u8], _>((from, to)).map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}

/// What looks like chunks, with right checksums, and a last one that counts right if there is one.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(head) = out.get(at..at + 8) {
        let end = at + 8 + u32_at(head, 4) as usize;
        let Some(rest) = out.get(at + 4..end) else { break };
        let crc = crc32fast::hash(rest);
        out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    out
}

/// A copy of the metadata gives pairs in order up to its end or its first error, which names file and offset; the pairs of
/// a whole one are written and read as the same.
pub fn snapshot(bytes: &[u8]) {
    let header = Header { kind: FileKind::Snapshot, store: STORE, number: 7, base: 7, chain: 0 }.encode();
    for body in [bytes.to_vec(), resealed(bytes)] {
        let whole = [&header[..], &body].concat();
        let disk = Memory::new(&[(SNAPSHOT, whole.clone())]);
        match pairs(&disk, &whole) {
            Some(state) => {
                if let Err(e) = check_snapshot(&*disk, Path::new(SNAPSHOT), STORE) {
                    assert!(e.detail().contains("bytes after the end"), "{e}");
                }
                let again = Memory::new(&[]);
                let len = write_snapshot(&*again, Path::new("snapshots"), STORE, 7, &State(state.clone()));
                assert_eq!(len.ok(), check_snapshot(&*again, Path::new(SNAPSHOT), STORE).ok());
                assert_eq!(pairs(&again, &again.bytes(Path::new(SNAPSHOT)).expect("it was written")), Some(state));
            }
            None => assert!(check_snapshot(&*disk, Path::new(SNAPSHOT), STORE).is_err()),
        }
    }
}

/// All pairs, if it has an end.
fn pairs(disk: &Memory, whole: &[u8]) -> Option<BTreeMap<Bytes, Bytes>> {
    let mut pairs = SnapshotPairs::open(disk, Path::new(SNAPSHOT), STORE).expect("its header is sound");
    let (mut found, mut bytes) = (BTreeMap::<Bytes, Bytes>::new(), 0);
    for pair in pairs.by_ref() {
        match pair {
            Ok((key, value)) => {
                assert!(found.last_key_value().is_none_or(|(last, _)| *last < key), "in order");
                bytes += key.len() + value.len();
                assert!(bytes <= whole.len());
                found.insert(key.into(), value.into());
            }
            Err(e) => {
                assert!(e.detail().contains(SNAPSHOT) && e.detail().contains("offset"), "{e}");
                assert!(pairs.next().is_none(), "an error is the end");
                return None;
            }
        }
    }
    Some(found)
}

const COVERED: &str = "log/0000000001.log";
const SIDECAR: &str = "log/0000000001.parity";
const OF: Header = Header { kind: FileKind::Log, store: STORE, number: 1, base: 1, chain: 0 };

/// A file of two stripes and a bit, and its sidecar.
fn covered() -> &'static (Vec<u8>, Vec<u8>) {
    static COVERED_FILE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    COVERED_FILE.get_or_init(|| {
        let body = (0..140_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        let file: Vec<u8> = OF.encode().into_iter().chain(body).collect();
        let disk = Memory::new(&[(COVERED, file.clone())]);
        let open = disk.open(Path::new(COVERED)).expect("it is there");
        let cover = Cover::new(&*disk, Path::new(COVERED), &OF, file.len() as u64, Extent::All);
        let from = cover.from(0);
        cover.bring(&*open, from, &mut found_sound).expect("it is covered");
        (file, disk.bytes(Path::new(SIDECAR)).expect("a sidecar"))
    })
}

fn damage_of(file: &[u8], sidecar: &[u8]) -> Option<Damage> {
    let disk = Memory::new(&[(COVERED, file.to_vec()), (SIDECAR, sidecar.to_vec())]);
    let sidecar = Sidecar::open(&*disk, Path::new(COVERED), STORE)?;
    let open = disk.open(Path::new(COVERED)).expect("it is there");
    Some(damage(&*open, Path::new(COVERED), &sidecar, Unreadable::Error).expect("it can be read"))
}

/// A damaged file is mended to what it was, or what is lost of it is named; and a sidecar that is no such thing never
/// speaks against a sound file.
pub fn sidecar(bytes: &[u8]) {
    let (file, sound) = covered();
    // The bytes as damage: three each for an offset and what it is XORed with.
    let mut damaged = file.clone();
    for edit in bytes.chunks_exact(4) {
        let at = u32_at(&[edit[0], edit[1], edit[2], 0], 0) as usize % file.len();
        damaged[at] ^= edit[3];
    }
    let found = damage_of(&damaged, sound).expect("a sound sidecar");
    for (offset, stood) in &found.found {
        let at = *offset as usize;
        damaged[at..at + stood.len()].copy_from_slice(stood);
    }
    for (chunk, (is, was)) in damaged.chunks(4_096).zip(file.chunks(4_096)).enumerate() {
        assert_eq!(is != was, found.lost.contains(&(chunk as u64 * 4_096)), "chunk {chunk}");
    }
    // The bytes as a sidecar.
    let header = Header { kind: FileKind::Parity, ..OF }.encode();
    for sidecar in [[&header[..], bytes].concat(), bytes.to_vec()] {
        if let Some(found) = damage_of(file, &sidecar) {
            // A sound entry of another file would be believed: its header tells of which file it is.
            let is_entry = sidecar.get(HEADER_BYTES..).is_some_and(|bytes| Entry::decode(bytes.to_vec(), 0).is_some());
            assert!(is_entry || found.is_none() && found.covered == 0, "{} bytes", found.covered);
        }
    }
}
