//! The bytes of a parity sidecar: what a file is healed from.
//!
//! After the file header, which is that of the file beside it but for its kind, slots of [`SLOT_BYTES`], one for each
//! region of [`REGION_BYTES`] of that file, in order. A slot holds an entry; the last one may be shorter:
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | CRC-32 of all that follows |
//! | 4-7 | number of the region |
//! | 8-11 | bytes of the region that are covered |
//! | 12- | CRC-32 of each chunk of [`CHUNK_BYTES`] |
//! | then | parity: all stripes of [`STRIPE_BYTES`] XORed, as if the last had zeros to its end |

use super::header::HEADER_BYTES;
use super::u32_at;

/// What is found damaged or sound as one.
pub const CHUNK_BYTES: usize = 4 << 10;
/// What parity is made over: neighbouring chunks are in the same stripe, so one damage of several is healed.
pub const STRIPE_BYTES: usize = 64 << 10;
/// What one entry covers.
pub const REGION_BYTES: u64 = 4 << 20;
/// Bytes of an entry before its checksums.
const ENTRY_HEADER_BYTES: usize = 12;
/// Bytes of an entry that covers a whole region.
pub const SLOT_BYTES: u64 = (ENTRY_HEADER_BYTES + REGION_BYTES as usize / CHUNK_BYTES * 4 + STRIPE_BYTES) as u64;

/// Where the entry of a region stands.
#[must_use]
pub const fn slot(region: u32) -> u64 {
    HEADER_BYTES as u64 + region as u64 * SLOT_BYTES
}

/// Length of an entry that covers so many bytes.
#[must_use]
pub const fn entry_bytes(covered: u32) -> usize {
    let parity = if (covered as usize) < STRIPE_BYTES { covered as usize } else { STRIPE_BYTES };
    ENTRY_HEADER_BYTES + (covered as usize).div_ceil(CHUNK_BYTES) * 4 + parity
}

/// Puts an entry together, stripe by stripe.
pub struct Builder {
    region: u32,
    covered: u32,
    sums: Vec<u8>,
    parity: Vec<u8>,
}

impl Builder {
    /// Begins the entry of a region.
    #[must_use]
    pub const fn new(region: u32) -> Self {
        Self { region, covered: 0, sums: Vec::new(), parity: Vec::new() }
    }

    /// Takes the next stripe in. Only the last may be short.
    pub fn stripe(&mut self, stripe: &[u8]) {
        self.sums.extend(stripe.chunks(CHUNK_BYTES).flat_map(|chunk| crc32fast::hash(chunk).to_le_bytes()));
        if self.parity.is_empty() {
            self.parity.extend_from_slice(stripe);
        } else {
            xor(&mut self.parity, stripe);
        }
        self.covered += stripe.len() as u32;
    }

    /// The entry.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = vec![0; ENTRY_HEADER_BYTES];
        out[4..8].copy_from_slice(&self.region.to_le_bytes());
        out[8..12].copy_from_slice(&self.covered.to_le_bytes());
        out.extend_from_slice(&self.sums);
        out.extend_from_slice(&self.parity);
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// An entry as it was read, its checksum verified.
pub struct Entry {
    /// Bytes of the region that it covers.
    pub covered: u32,
    bytes: Vec<u8>,
}

impl Entry {
    /// Reads the entry of a region; `None` if these bytes are not it. What stands behind it is left.
    #[must_use]
    pub fn decode(mut bytes: Vec<u8>, region: u32) -> Option<Self> {
        if bytes.len() < ENTRY_HEADER_BYTES || u32_at(&bytes, 4) != region {
            return None;
        }
        let covered = u32_at(&bytes, 8);
        if covered == 0 || u64::from(covered) > REGION_BYTES || bytes.len() < entry_bytes(covered) {
            return None;
        }
        bytes.truncate(entry_bytes(covered));
        (u32_at(&bytes, 0) == crc32fast::hash(&bytes[4..])).then_some(Self { covered, bytes })
    }

    /// True if these are the bytes of that chunk.
    #[must_use]
    pub fn matches(&self, chunk: usize, bytes: &[u8]) -> bool {
        bytes.len() == self.chunk_len(chunk) && self.sum(chunk) == crc32fast::hash(bytes)
    }

    /// Length of a chunk.
    #[must_use]
    pub fn chunk_len(&self, chunk: usize) -> usize {
        (self.covered as usize - chunk * CHUNK_BYTES).min(CHUNK_BYTES)
    }

    /// Chunks that it covers.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        (self.covered as usize).div_ceil(CHUNK_BYTES)
    }

    /// The parity of all stripes.
    #[must_use]
    pub fn parity(&self) -> &[u8] {
        &self.bytes[ENTRY_HEADER_BYTES + self.chunks() * 4..]
    }

    fn sum(&self, chunk: usize) -> u32 {
        u32_at(&self.bytes, ENTRY_HEADER_BYTES + chunk * 4)
    }
}

/// XORs the shorter into the start of the longer.
pub fn xor(into: &mut [u8], bytes: &[u8]) {
    into.iter_mut().zip(bytes).for_each(|(to, from)| *to ^= from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(bytes: &[u8]) -> Vec<u8> {
        let mut builder = Builder::new(3);
        bytes.chunks(STRIPE_BYTES).for_each(|stripe| builder.stripe(stripe));
        builder.finish()
    }

    #[test]
    fn lengths_are_as_they_are_said_to_be() {
        for len in [1, 700, CHUNK_BYTES, STRIPE_BYTES - 1, STRIPE_BYTES, STRIPE_BYTES + 1, REGION_BYTES as usize] {
            let entry = entry_of(&vec![7; len]);
            assert_eq!(entry.len(), entry_bytes(len as u32), "{len}");
            let read = Entry::decode([entry.as_slice(), &[9; 5]].concat(), 3).expect("an entry");
            assert_eq!((read.covered, read.parity().len()), (len as u32, len.min(STRIPE_BYTES)), "{len}");
        }
        assert_eq!(entry_bytes(REGION_BYTES as u32) as u64, SLOT_BYTES);
    }

    #[test]
    fn no_flipped_byte_of_an_entry_passes() {
        let entry = entry_of(&[5; 9_000]);
        for at in 0..entry.len() {
            let mut bad = entry.clone();
            bad[at] ^= 0x10;
            assert!(Entry::decode(bad, 3).is_none(), "byte {at}");
        }
        assert!(Entry::decode(entry.clone(), 4).is_none(), "another region's");
        assert!((0..entry.len()).all(|cut| Entry::decode(entry[..cut].to_vec(), 3).is_none()));
    }
}
