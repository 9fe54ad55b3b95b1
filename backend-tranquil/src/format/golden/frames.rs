use backend_api::{Checked, Micros, Mutation, Pos, RepoId, Seq, Stamp};

use super::super::frame::{BlockHint, CycleEnd, FrameKind, append, append_block};
use super::super::header::{FileKind, Header};
use super::super::intent::{Intent, Maintenance};
use super::{KEY, STORE, block, check, did, row_key};

#[test]
fn golden_headers() {
    let header = |kind, number, base, chain| Header { kind, store: STORE, number, base, chain }.encode();
    check("header-store", &header(FileKind::Store, 0, 0, 0));
    check("header-log", &header(FileKind::Log, 2, 41, 0x0403_0201));
    check("header-events", &header(FileKind::Events, 17, 17, 0));
    check("header-hint", &header(FileKind::Hint, 2, 41, 0x0403_0201));
    check("header-event-index", &header(FileKind::EventIndex, 25, 17, 0));
    check("header-parity", &header(FileKind::Parity, 2, 41, 0x0403_0201));
    check("header-snapshot", &header(FileKind::Snapshot, 100, 100, 0));
}

#[test]
fn golden_block_frame() {
    let mut out = Vec::new();
    append_block(&mut out, &block(), b"block");
    check("frame-block", &out);
}

#[test]
fn golden_block_hint_frame() {
    let mut out = Vec::new();
    BlockHint { cid: block(), offset: 64, len: 5, crc: 0x0403_0201 }.append(&mut out);
    check("frame-block-hint", &out);
}

#[test]
fn golden_intent_frame() {
    let ops = vec![backend_api::Op::Purge];
    let mutation = Mutation { did: did(), key: KEY, ops: ops.clone(), blocks: Vec::new() };
    let checked = Checked::new(mutation).expect("well-formed");
    let stamp = Stamp { pos: Pos(3), at: Micros(1_700_000_000_000_000), first_seq: Seq::new(5).expect("in range") };
    let mut out = Vec::new();
    append(&mut out, FrameKind::Intent, |out| Intent::append(out, &checked, stamp, 0xdead_beef, RepoId(2), 1));
    check("frame-intent", &out);
    let read = Intent::decode(&out[12..]).expect("an intent");
    assert_eq!((read.stamp, read.effects, read.repo, read.ops), (stamp, 0xdead_beef, RepoId(2), ops));
}

#[test]
fn golden_maintenance_frame() {
    let step = Maintenance {
        at: Micros(8),
        release: vec![(RepoId(2), block(), 7)],
        expire: vec![(row_key(), Micros(9))],
        put: vec![(vec![0, 1], vec![1, 5])],
        delete: vec![vec![0x80, 1]],
    };
    let mut out = Vec::new();
    append(&mut out, FrameKind::Maintenance, |out| step.append(out));
    check("frame-maintenance", &out);
    assert_eq!(Maintenance::decode(&out[12..]).expect("a step"), step);
}

#[test]
fn golden_cycle_end_frame() {
    let mut out = Vec::new();
    CycleEnd { cycle: 41, start: 64, end: 1_000, frames: 6, chain: 0x0403_0201 }.append(&mut out, STORE);
    check("frame-cycle-end", &out);
}
