//! Frames of the commit log.
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | CRC-32 of all that follows |
//! | 4-7 | length of the payload |
//! | 8 | kind, see [`FrameKind`] |
//! | 9-11 | zero |
//! | 12- | payload |
//!
//! A mutation is its block frames, then its intent frame. A cycle is mutations and maintenance steps, then one
//! cycle-end frame, and is there whole or not at all.

use backend_api::Cid;

use super::{StoreId, u32_at, u64_at};

/// Bytes before the payload.
pub const FRAME_HEADER_BYTES: usize = 12;
/// Bytes of a block frame before the block's bytes: the frame's header and the CID.
pub const BLOCK_PREFIX_BYTES: usize = FRAME_HEADER_BYTES + Cid::KEY_BYTES;
/// No payload is longer; a length above it is damage.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A block: CID (33 bytes), bytes.
    Block = 1,
    /// A mutation with its numbers, its blocks' bytes left out: they are the block frames before it.
    Intent = 2,
    /// A maintenance step.
    Maintenance = 3,
    /// The end of a cycle, see [`CycleEnd`].
    CycleEnd = 4,
    /// In hint files only, in place of a block frame, see [`BlockHint`].
    BlockHint = 5,
}

impl FrameKind {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Block),
            2 => Some(Self::Intent),
            3 => Some(Self::Maintenance),
            4 => Some(Self::CycleEnd),
            5 => Some(Self::BlockHint),
            _ => None,
        }
    }
}

/// Appends a frame whose payload `write` appends; returns its checksum.
pub fn append(out: &mut Vec<u8>, kind: FrameKind, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    write(out);
    let len = (out.len() - start - FRAME_HEADER_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    out[start + 8] = kind as u8;
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Appends a block frame.
pub fn append_block(out: &mut Vec<u8>, cid: &Cid, bytes: &[u8]) -> u32 {
    append(out, FrameKind::Block, |out| {
        out.extend_from_slice(&cid.to_key());
        out.extend_from_slice(bytes);
    })
}

/// A frame as it was read, its checksum verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// Its checksum.
    pub crc: u32,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame.
    #[must_use]
    pub const fn len(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload.len()
    }
}

/// What was found where a frame was expected.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// So far a frame, but it needs this many bytes in all.
    Short(usize),
    /// No frame, and why.
    Bad(&'static str),
}

/// Reads the frame at the start of `bytes`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    if bytes.len() < FRAME_HEADER_BYTES {
        return Parsed::Short(FRAME_HEADER_BYTES);
    }
    let len = u32_at(bytes, 4) as usize;
    if len > PAYLOAD_BYTES_MAX {
        return Parsed::Bad("impossible length");
    }
    let Some(kind) = FrameKind::from_code(bytes[8]) else { return Parsed::Bad("unknown kind") };
    if bytes[9..FRAME_HEADER_BYTES] != [0; 3] {
        return Parsed::Bad("bytes 9-11 are not zero");
    }
    let whole = FRAME_HEADER_BYTES + len;
    if bytes.len() < whole {
        return Parsed::Short(whole);
    }
    let crc = u32_at(bytes, 0);
    if crc != crc32fast::hash(&bytes[4..whole]) {
        return Parsed::Bad("wrong checksum");
    }
    Parsed::Frame(Frame { kind, crc, payload: &bytes[FRAME_HEADER_BYTES..whole] })
}

/// The end of a cycle: what makes everything since the end before it valid at once.
///
/// Payload: the store's own magic ([`StoreId::cycle_end_magic`]), cycle number, offset of the cycle's first frame, offset of this frame, number of frames
/// before this one, chain. The chain is the CRC-32 of the previous chain and of the checksums of the cycle's frames, so
/// that frames of another cycle can never pass for this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleEnd {
    /// Its number: 1, 2, 3, ... over all files.
    pub cycle: u64,
    /// Offset in the file of the cycle's first frame.
    pub start: u64,
    /// Offset in the file of this frame.
    pub end: u64,
    /// Frames before this one.
    pub frames: u32,
    /// The chain after this cycle.
    pub chain: u32,
}

/// Payload of a cycle end.
pub const CYCLE_END_PAYLOAD_BYTES: usize = 8 + 8 + 8 + 8 + 4 + 4;

impl CycleEnd {
    /// Appends the frame.
    pub fn append(&self, out: &mut Vec<u8>, store: StoreId) {
        append(out, FrameKind::CycleEnd, |out| {
            out.extend_from_slice(&store.cycle_end_magic());
            out.extend_from_slice(&self.cycle.to_le_bytes());
            out.extend_from_slice(&self.start.to_le_bytes());
            out.extend_from_slice(&self.end.to_le_bytes());
            out.extend_from_slice(&self.frames.to_le_bytes());
            out.extend_from_slice(&self.chain.to_le_bytes());
        });
    }

    /// Reads a payload of that store.
    #[must_use]
    pub fn decode(payload: &[u8], store: StoreId) -> Option<Self> {
        if payload.len() != CYCLE_END_PAYLOAD_BYTES || payload[..8] != store.cycle_end_magic() {
            return None;
        }
        Some(Self {
            cycle: u64_at(payload, 8),
            start: u64_at(payload, 16),
            end: u64_at(payload, 24),
            frames: u32_at(payload, 32),
            chain: u32_at(payload, 36),
        })
    }
}

/// What a hint file has in place of a block frame. Payload: CID (33 bytes), offset of the frame in the log file, length of
/// the block, checksum of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHint {
    /// The block.
    pub cid: Cid,
    /// Where its frame is.
    pub offset: u64,
    /// Length of its bytes.
    pub len: u32,
    /// The frame's checksum, for the chain.
    pub crc: u32,
}

impl BlockHint {
    /// Appends the frame.
    pub fn append(&self, out: &mut Vec<u8>) {
        append(out, FrameKind::BlockHint, |out| {
            out.extend_from_slice(&self.cid.to_key());
            out.extend_from_slice(&self.offset.to_le_bytes());
            out.extend_from_slice(&self.len.to_le_bytes());
            out.extend_from_slice(&self.crc.to_le_bytes());
        });
    }

    /// Reads a payload.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        if payload.len() != Cid::KEY_BYTES + 16 {
            return None;
        }
        let cid = Cid::from_key(&payload[..Cid::KEY_BYTES]).ok()?;
        let at = Cid::KEY_BYTES;
        Some(Self { cid, offset: u64_at(payload, at), len: u32_at(payload, at + 8), crc: u32_at(payload, at + 12) })
    }
}

/// Carries the chain on over the checksums of a cycle's frames.
#[derive(Debug, Clone)]
pub struct Chain(crc32fast::Hasher);

impl Chain {
    /// Starts from the chain of the cycle before.
    #[must_use]
    pub fn after(previous: u32) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&previous.to_le_bytes());
        Self(hasher)
    }

    /// Takes in a frame.
    pub fn frame(&mut self, crc: u32) {
        self.0.update(&crc.to_le_bytes());
    }

    /// The chain.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> Vec<u8> {
        let mut out = Vec::new();
        append_block(&mut out, &Cid::of_block(b"block"), b"block");
        out
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let bytes = framed();
        let Parsed::Frame(frame) = parse(&bytes) else { panic!("no frame") };
        assert_eq!((frame.kind, frame.len()), (FrameKind::Block, bytes.len()));
        assert_eq!(&frame.payload[Cid::KEY_BYTES..], b"block");
    }

    #[test]
    fn no_flipped_bit_passes() {
        let bytes = framed();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&bad), Parsed::Frame(_)), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(matches!(parse(&bytes[..cut]), Parsed::Short(_)), "cut at {cut}");
        }
        assert!(matches!(parse(&[0; 64]), Parsed::Bad(_)), "zeros are no frame");
    }

    #[test]
    fn a_cycle_end_is_read_as_it_was_written() {
        let end = CycleEnd { cycle: 7, start: 64, end: 1_000, frames: 3, chain: 99 };
        let mut out = Vec::new();
        let store = StoreId([1; 16]);
        end.append(&mut out, store);
        let Parsed::Frame(frame) = parse(&out) else { panic!("no frame") };
        assert_eq!(CycleEnd::decode(frame.payload, store), Some(end));
        assert_eq!(CycleEnd::decode(frame.payload, StoreId([2; 16])), None, "another store's");
    }
}
