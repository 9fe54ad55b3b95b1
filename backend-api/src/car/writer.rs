//! Writing CAR v1 (<https://ipld.io/specs/transport/car/carv1/>).

use crate::cbor::Writer;
use crate::cid::Cid;

/// The header of a file with one root.
#[must_use]
pub fn header(root: Cid) -> Vec<u8> {
    let mut cbor = Writer::with_capacity(64);
    cbor.map(2).text("roots").array(1).link(&root).text("version").uint(1);
    let cbor = cbor.into_bytes();
    let mut out = Vec::with_capacity(cbor.len() + 1);
    varint(&mut out, cbor.len() as u64);
    out.extend_from_slice(&cbor);
    out
}

/// Bytes that a block of `len` bytes takes in the file.
#[must_use]
pub fn block_size(len: usize) -> usize {
    let entry = Cid::BYTES + len;
    let bits = usize::BITS - entry.leading_zeros();
    (bits as usize).div_ceil(7) + entry
}

/// Appends a block.
pub fn append_block(out: &mut Vec<u8>, cid: &Cid, bytes: &[u8]) {
    varint(out, (Cid::BYTES + bytes.len()) as u64);
    out.extend_from_slice(&cid.to_bytes());
    out.extend_from_slice(bytes);
}

/// An unsigned LEB128 number, in its shortest form.
fn varint(out: &mut Vec<u8>, mut value: u64) {
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
