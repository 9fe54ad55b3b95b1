//! Headers, frames, entries of sidecars: bytes with a checksum of their own.

use std::path::Path;

use super::STORE;
use crate::format::frame::{
    self, BlockHint, CycleEnd, FRAME_HEADER_BYTES, Frame, FrameKind, PAYLOAD_BYTES_MAX, Parsed, append, parse,
};
use crate::format::header::{FileKind, HEADER_BYTES, Header, is_sound};
use crate::format::parity::{CHUNK_BYTES, Entry, REGION_BYTES, STRIPE_BYTES, entry_bytes};
use crate::format::u32_at;

const FILE_KINDS: [FileKind; 7] = [
    FileKind::Store,
    FileKind::Log,
    FileKind::Hint,
    FileKind::Events,
    FileKind::EventIndex,
    FileKind::Snapshot,
    FileKind::Parity,
];
const FRAME_KINDS: [FrameKind; 5] =
    [FrameKind::Block, FrameKind::Intent, FrameKind::Maintenance, FrameKind::CycleEnd, FrameKind::BlockHint];

/// A header that is read is written as the same bytes; one that is refused is named.
pub fn header(bytes: &[u8]) {
    read_header(bytes);
    if let Some(mut sealed) = bytes.get(..HEADER_BYTES).map(<[u8]>::to_vec) {
        let crc = crc32fast::hash(&sealed[..60]);
        sealed[60..].copy_from_slice(&crc.to_le_bytes());
        assert!(is_sound(&sealed));
        read_header(&sealed);
    }
}

fn read_header(bytes: &[u8]) {
    for kind in FILE_KINDS {
        for store in [None, Some(STORE)] {
            match Header::decode(bytes, kind, store, Path::new("some.file")) {
                Ok(header) => {
                    assert!(is_sound(bytes) && header.kind == kind && store.is_none_or(|store| store == header.store));
                    assert_eq!(header.encode(), bytes[..HEADER_BYTES], "{header:?}");
                    assert!(header.is_beside(bytes));
                }
                Err(e) => assert!(e.detail().starts_with("some.file: "), "{e}"),
            }
        }
    }
}

/// A frame is read as it was written, and what is no frame asks for more bytes or says why it is none.
pub fn frame(bytes: &[u8]) {
    match parse(bytes) {
        Parsed::Frame(frame) => same_frame(&frame, bytes),
        Parsed::Short(whole) => {
            assert!(whole > bytes.len() && whole <= FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX, "{whole}");
        }
        Parsed::Bad(why) => assert!(!why.is_empty()),
    }
    for kind in FRAME_KINDS {
        let mut sealed = Vec::new();
        append(&mut sealed, kind, |out| out.extend_from_slice(bytes));
        let Parsed::Frame(frame) = parse(&sealed) else { panic!("{kind:?}: what was written is no frame") };
        assert_eq!((frame.kind, frame.payload), (kind, bytes));
        same_frame(&frame, &sealed);
        assert_eq!(parse(&sealed[..sealed.len() - 1]), Parsed::Short(sealed.len()));
    }
    // With its checksum made right, as it claims to be long.
    if let Some(whole) = claimed(bytes) {
        let mut sealed = bytes[..whole].to_vec();
        let crc = crc32fast::hash(&sealed[4..]);
        sealed[..4].copy_from_slice(&crc.to_le_bytes());
        if let Parsed::Frame(frame) = parse(&sealed) {
            same_frame(&frame, &sealed);
        }
    }
}

/// The length that the frame at the start of some bytes claims, if they have it.
pub fn claimed(bytes: &[u8]) -> Option<usize> {
    let len = u32_at(bytes.get(..FRAME_HEADER_BYTES)?, 4) as usize;
    len.checked_add(FRAME_HEADER_BYTES).filter(|whole| *whole <= bytes.len())
}

fn same_frame(frame: &Frame<'_>, bytes: &[u8]) {
    let mut again = Vec::new();
    let crc = append(&mut again, frame.kind, |out| out.extend_from_slice(frame.payload));
    assert_eq!(again, bytes[..frame.len()], "a frame is written as it was read");
    assert_eq!(crc, frame.crc);
    let mut again = Vec::new();
    match frame.kind {
        FrameKind::CycleEnd => CycleEnd::decode(frame.payload, STORE).map(|end| end.append(&mut again, STORE)),
        FrameKind::BlockHint => BlockHint::decode(frame.payload).map(|hint| hint.append(&mut again)),
        FrameKind::Block | FrameKind::Intent | FrameKind::Maintenance => None,
    };
    assert!(again.is_empty() || again == bytes[..frame.len()], "what a payload says is written as it was read");
    debug_assert!(frame::FRAME_HEADER_BYTES <= frame.len());
}

/// An entry of a sidecar that is read covers what it has checksums for, and no more than a region.
pub fn parity(bytes: &[u8]) {
    let region = bytes.get(4..8).map_or(0, |b| u32_at(b, 0));
    entry(bytes.to_vec(), region);
    // With its checksum made right.
    if bytes.len() > 12 {
        let covered = u32_at(bytes, 8);
        if u64::from(covered) <= REGION_BYTES && entry_bytes(covered) <= bytes.len() {
            let mut sealed = bytes[..entry_bytes(covered)].to_vec();
            let crc = crc32fast::hash(&sealed[4..]);
            sealed[..4].copy_from_slice(&crc.to_le_bytes());
            entry(sealed, region);
        }
    }
}

fn entry(bytes: Vec<u8>, region: u32) {
    assert!(Entry::decode(bytes.clone(), region.wrapping_add(1)).is_none(), "another region's");
    let Some(entry) = Entry::decode(bytes, region) else { return };
    let covered = entry.covered as usize;
    assert!(covered > 0 && covered as u64 <= REGION_BYTES);
    assert_eq!(entry.parity().len(), covered.min(STRIPE_BYTES));
    let lengths: Vec<usize> = (0..entry.chunks()).map(|chunk| entry.chunk_len(chunk)).collect();
    assert_eq!(lengths.iter().sum::<usize>(), covered);
    assert!(lengths.iter().all(|len| (1..=CHUNK_BYTES).contains(len)));
    assert!((0..entry.chunks()).all(|chunk| !entry.matches(chunk, &[])), "no chunk is empty");
}
