//! What a fuzzer does to a seed, without a fuzzer: always the same, from the numbers that it is given.

/// One to four of what corruption and malice do to one of the seeds.
pub fn mutated(next: &mut dyn FnMut() -> u64, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut pick = |n: usize| (next() % n.max(1) as u64) as usize;
    let mut bytes = seeds[pick(seeds.len())].clone();
    for _ in 0..=pick(4) {
        let at = pick(bytes.len());
        match pick(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << pick(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), pick(256) as u8),
            4 => {
                let end = (at + 1 + pick(40)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[pick(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[pick(other.len()).min(other.len())..]);
            }
            // A length that claims a great deal.
            _ => drop(bytes.splice(at..at, [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        }
    }
    bytes
}
