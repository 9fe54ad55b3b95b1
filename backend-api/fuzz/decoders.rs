//! What must hold for any bytes at all, decoder by decoder. Run by the fuzz targets beside this file, and with mutated
//! seeds by `tests/decoders.rs`.

use backend_api::car::{CarEvent, CarReader};
use backend_api::tree::{BlockMap, CommitBlock, Key, Node, check};
use backend_api::{Checked, Cid, Did, Email, Handle, Mutation, Nsid, Op, RecordKey, RecordPath, Tid, cbor};
use futures::executor::block_on;

/// A decoder: its name, and what must hold.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
#[allow(dead_code, reason = "each fuzz target runs one")]
pub const DECODERS: &[Decoder] =
    &[("car", car), ("cbor", cbor), ("cid", cid), ("names", names), ("node", node), ("commit", commit), ("ops", ops)];

/// A file reads alike in whatever pieces it comes, to the same block or the same error; each block is what its CID says;
/// and whatever tree its blocks make is checked to an end.
pub fn car(bytes: &[u8]) {
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, 7), "in small pieces");
    let (events, error) = whole;
    let (mut blocks, mut root) = (BlockMap::new(), None);
    for event in events {
        match event {
            CarEvent::Header { roots } => root = roots.first().copied(),
            CarEvent::Block { cid, bytes, .. } => {
                assert!(cid.matches(&bytes));
                blocks.insert(cid, bytes);
            }
        }
    }
    if let (Some(root), None) = (root, error) {
        // Bounded by the blocks that there are.
        drop(block_on(check(&blocks, root)));
    }
}

type Read = (Vec<CarEvent>, Option<String>);

fn read(bytes: &[u8], piece: usize) -> Read {
    let mut reader = CarReader::new();
    let mut events = Vec::new();
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(e) => return (events, Some(e.to_string())),
            }
        }
    }
    let ended = reader.finish().err().map(|e| e.to_string());
    (events, ended)
}

/// What is canonical is the one encoding of what it says.
pub fn cbor(bytes: &[u8]) {
    let _checked = cbor::check(bytes);
}

/// Each form of a CID leads back to the same bytes.
pub fn cid(bytes: &[u8]) {
    if let Ok(cid) = Cid::from_bytes(bytes) {
        assert_eq!(cid.to_bytes(), bytes);
        assert_eq!(cid.to_string().parse::<Cid>().ok(), Some(cid));
        assert_eq!(Cid::from_key(&cid.to_key()).ok(), Some(cid));
    }
    if let Some(cid) = text(bytes).and_then(|text| text.parse::<Cid>().ok()) {
        assert_eq!(Some(cid.to_string().as_str()), text(bytes), "one text for one CID");
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A name that is taken is taken again as it is written.
pub fn names(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    fn again<T: std::str::FromStr + ToString>(text: &str) {
        if let Ok(name) = text.parse::<T>() {
            let written = name.to_string();
            assert_eq!(written.parse::<T>().ok().map(|name| name.to_string()), Some(written), "{text:?}");
        }
    }
    again::<Did>(text);
    again::<Handle>(text);
    again::<Email>(text);
    again::<Nsid>(text);
    again::<RecordKey>(text);
    again::<RecordPath>(text);
    again::<Tid>(text);
    drop(Key::parse(text));
}

/// A node that is read is written as the same bytes: no two blocks mean the same node.
pub fn node(bytes: &[u8]) {
    if let Ok(node) = Node::decode(&Cid::of_block(bytes), bytes) {
        assert_eq!(node.encode(), bytes);
    }
}

/// So is a commit.
pub fn commit(bytes: &[u8]) {
    if let Ok(commit) = CommitBlock::decode(bytes) {
        assert_eq!(commit.encode(), bytes);
    }
}

/// Operations that come from elsewhere (a log, a change feed) and make no sense are refused, not believed.
pub fn ops(bytes: &[u8]) {
    let Ok(ops) = postcard::from_bytes::<Vec<Op>>(bytes) else { return };
    let Ok(did) = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse::<Did>() else { return };
    let mutation = Mutation { did, key: backend_api::IdempotencyKey([7; 16]), ops, blocks: Vec::new() };
    if let Ok(checked) = Checked::new(mutation.clone()) {
        assert_eq!(checked.mutation(), &mutation);
        let read = postcard::from_bytes::<Vec<Op>>(checked.encoded_ops());
        assert_eq!(read.ok().as_ref(), Some(&mutation.ops), "what is logged is what was checked");
    }
}
