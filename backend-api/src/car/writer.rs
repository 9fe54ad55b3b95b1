//! Writing CAR files.

use crate::cbor::Writer;
use crate::cid::Cid;

/// The header of a CAR file with one root.
#[must_use]
pub fn header(root: Cid) -> Vec<u8> {
    let mut w = Writer::with_capacity(64);
    w.map(2).text("roots").array(1).link(&root).text("version").uint(1);
    let body = w.into_bytes();
    let mut out = Vec::with_capacity(body.len() + 2);
    append_varint(&mut out, body.len() as u64);
    out.extend_from_slice(&body);
    out
}

/// Appends a block.
pub fn append_block(out: &mut Vec<u8>, cid: &Cid, block: &[u8]) {
    append_varint(out, (Cid::BYTES + block.len()) as u64);
    out.extend_from_slice(&cid.to_bytes());
    out.extend_from_slice(block);
}

/// How many bytes [`append_block`] takes for a block of `block_len` bytes.
#[must_use]
pub const fn block_size(block_len: usize) -> usize {
    let section = Cid::BYTES + block_len;
    let bits = usize::BITS - section.leading_zeros();
    bits.div_ceil(7) as usize + section
}

fn append_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_size_is_what_append_block_writes() {
        for len in [0, 1, 91, 92, 16_347, 16_348, 100_000] {
            let bytes = vec![7; len];
            let mut out = Vec::new();
            append_block(&mut out, &Cid::of_block(&bytes), &bytes);
            assert_eq!(out.len(), block_size(len), "{len} bytes");
        }
    }
}
