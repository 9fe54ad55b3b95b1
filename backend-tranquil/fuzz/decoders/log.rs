//! Files of the commit log: scanning, telling a torn tail from damage, hint files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backend_api::{Cid, Error};

use super::fixed::claimed;
use super::memory::Memory;
use super::{STORE, golden};
use crate::format::frame::{
    BLOCK_PREFIX_BYTES, BlockHint, Chain, CycleEnd, FRAME_HEADER_BYTES, FrameKind, Parsed, parse,
};
use crate::format::header::{FileKind, HEADER_BYTES, Header};
use crate::format::value::Place;
use crate::log::{CycleScan, Item, LogFiles, Position, Scanned, Start, Tail, classify, frame_piece, write_hint};
use crate::parity::{Cover, Extent};

const NAME: &str = "0000000001.log";

fn header(kind: FileKind) -> Vec<u8> {
    Header { kind, store: STORE, number: 1, base: 1, chain: 0 }.encode().to_vec()
}

fn files(of: &[(&str, Vec<u8>)]) -> Arc<LogFiles> {
    let paths: Vec<(String, Vec<u8>)> = of.iter().map(|(name, bytes)| (format!("log/{name}"), bytes.clone())).collect();
    let named: Vec<(&str, Vec<u8>)> = paths.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    Arc::new(LogFiles::new(Memory::new(&named), PathBuf::from("log"), STORE))
}

fn is_named(error: &Error) {
    let detail = error.detail();
    assert!(detail.contains(NAME) && (detail.contains("offset") || detail.contains("byte")), "{detail}");
}

/// What is in a cycle, without the bytes of blocks.
type Content = (Position, CycleEnd, Vec<(String, Vec<Cid>, Vec<Place>)>);

/// All cycles, and where and why they end.
type Cycles = (Vec<Content>, Option<(Position, String)>);

/// Reads all cycles. Each lies behind the one before it, and its blocks are found where it says.
fn scan(files: &Arc<LogFiles>, with_hints: bool) -> Cycles {
    let mut scan = match CycleScan::new(Arc::clone(files), Start::File(1)) {
        Ok(scan) if with_hints => scan.with_hints(),
        Ok(scan) => scan,
        Err(e) => panic!("a file with a sound header is opened: {e}"),
    };
    let mut cycles = Vec::new();
    loop {
        let before = scan.position();
        match scan.next() {
            Ok(Scanned::Cycle(cycle)) => {
                assert_eq!(cycle.before, before);
                assert!(scan.position().offset > before.offset && scan.position().cycle == before.cycle + 1);
                let items = cycle.items.iter().map(|item| content(files, item, cycle.hinted)).collect();
                cycles.push((scan.position(), cycle.end, items));
            }
            Ok(Scanned::Stop(at, why)) => {
                assert!(at == scan.position() && why.contains("offset"), "{why}");
                return (cycles, Some((at, why)));
            }
            Err(e) => {
                is_named(&e);
                return (cycles, None);
            }
        }
    }
}

fn content(files: &LogFiles, item: &Item, hinted: bool) -> (String, Vec<Cid>, Vec<Place>) {
    match item {
        Item::Mutation(intent, blocks, places) => {
            assert!(blocks.len() == places.len() && blocks.len() == intent.blocks as usize);
            for (block, place) in blocks.iter().zip(places).filter(|_| !hinted) {
                assert_eq!(files.block(*place, &block.cid()).as_ref(), Ok(block.bytes()), "{place:?}");
            }
            (format!("{intent:?}"), blocks.iter().map(|block| block.cid()).collect(), places.clone())
        }
        Item::Maintenance(step) => (format!("{step:?}"), Vec::new(), Vec::new()),
    }
}

/// What looks like frames, with right checksums, offsets and chains. Offsets are those of a scan, which takes a hint for as
/// long as the block that it stands for.
fn resealed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut chain, mut cycle, mut frames) = (Chain::after(0), 0, 0);
    let (mut start, mut offset) = (HEADER_BYTES as u64, HEADER_BYTES as u64);
    let mut rest = body;
    while let Some(whole) = claimed(rest) {
        let (frame, behind) = rest.split_at(whole);
        rest = behind;
        if frame[8] == FrameKind::CycleEnd as u8 {
            cycle += 1;
            let before = out.len();
            CycleEnd { cycle, start, end: offset, frames, chain: chain.value() }.append(&mut out, STORE);
            (chain, frames) = (Chain::after(chain.value()), 0);
            offset += (out.len() - before) as u64;
            start = offset;
            continue;
        }
        let mut frame = frame.to_vec();
        let crc = crc32fast::hash(&frame[4..]);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
        let is_hint = frame[8] == FrameKind::BlockHint as u8;
        let hint = BlockHint::decode(&frame[FRAME_HEADER_BYTES..]).filter(|_| is_hint);
        chain.frame(hint.map_or(crc, |hint| hint.crc));
        offset += hint.map_or(whole as u64, |hint| BLOCK_PREFIX_BYTES as u64 + u64::from(hint.len));
        frames += 1;
        out.extend(frame);
    }
    out.extend_from_slice(rest);
    out
}

/// A log file with any bytes behind its header is read to some cycle, and what stands behind that is told apart.
pub fn log(bytes: &[u8]) {
    for body in [bytes.to_vec(), resealed(bytes)] {
        let whole = [header(FileKind::Log), body].concat();
        let files = files(&[(NAME, whole.clone())]);
        let (cycles, stop) = scan(&files, false);
        if let Some((at, why)) = stop {
            tail(&files, &whole, at, &why);
        }
        let (path, header) = (files.path(1), files.header(1).expect("a header"));
        let cover = Cover::new(files.disk(), &path, &header, whole.len() as u64, Extent::All);
        let from = cover.from(0);
        if let Err(e) = cover.bring(&*files.get(1).expect("a file"), from, &mut frame_piece) {
            is_named(&e);
        }
        // A hint file that is made of it says the same.
        match write_hint(&files, 1) {
            Ok(()) => assert_eq!(scan(&files, true).0, cycles, "with the hint file"),
            Err(e) => is_named(&e),
        }
    }
}

fn tail(files: &LogFiles, whole: &[u8], at: Position, why: &str) {
    let behind = &whole[at.offset as usize..];
    match classify(files, at, why).expect("it can be read") {
        Tail::Clean => assert!(behind.iter().all(|b| *b == 0)),
        Tail::Torn(end) => {
            let used = behind.iter().rposition(|b| *b != 0).map(|used| at.offset + used as u64 + 1);
            assert_eq!(used, Some(end), "all of it is kept aside, and no zero more");
        }
        Tail::Rotten(detail) => {
            // Only what is the whole end of a later cycle of this store, at its own place, proves that.
            assert!(detail.contains(NAME) && detail.contains("is whole"), "{detail}");
            let later = (at.offset as usize..whole.len()).any(|start| match parse(&whole[start..]) {
                Parsed::Frame(frame) if frame.kind == FrameKind::CycleEnd => CycleEnd::decode(frame.payload, STORE)
                    .is_some_and(|end| end.cycle > at.cycle + 1 && end.end == start as u64),
                _ => false,
            });
            assert!(later, "{detail}");
        }
    }
}

/// The golden log file: two cycles' worth of everything that a commit writes.
fn sound_log() -> &'static [u8] {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    LOG.get_or_init(|| golden(include_str!("../../golden/file-log.hex")))
}

/// Whatever stands in a hint file, what is read with it is what is read without it.
pub fn hint(bytes: &[u8]) {
    static WITHOUT: OnceLock<Vec<Content>> = OnceLock::new();
    let without = WITHOUT.get_or_init(|| scan(&files(&[(NAME, sound_log().to_vec())]), false).0);
    assert!(!without.is_empty());
    let hint = [header(FileKind::Hint), bytes.to_vec()].concat();
    for hint in [hint, bytes.to_vec()] {
        let files = files(&[(NAME, sound_log().to_vec()), ("0000000001.hint", hint)]);
        let (with, stop) = scan(&files, true);
        assert_eq!(&with, without);
        assert!(stop.is_some() && files.path(1) == Path::new("log").join(NAME));
    }
}
