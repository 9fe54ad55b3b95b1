//! Bytes on disk. Every number here is little-endian in files and big-endian in keys; nothing host-sized is stored.

pub mod frame;
#[cfg(test)]
mod golden;
pub mod header;
pub mod intent;
pub mod key;
pub mod parity;
pub mod value;

/// Identity of a store: 16 random bytes, in the header of each of its files.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// Starts the payload of each cycle end of this store. Nobody who writes into the store can know it, so no content of
    /// a block looks like the end of a cycle.
    #[must_use]
    pub fn cycle_end_magic(self) -> [u8; 8] {
        xxhash_rust::xxh3::xxh3_64(&self.0).to_le_bytes()
    }
}

impl std::fmt::Debug for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The number of a file named `{number:0digits}{ending}`. A name that says a number in any other way is none of a store.
#[must_use]
pub fn number_in(name: &str, digits: usize, ending: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(ending)?.parse().ok()?;
    (format!("{number:0digits$}{ending}") == name).then_some(number)
}

/// Four bytes of a slice as a number. The slice has been measured before.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Eight bytes of a slice as a number. The slice has been measured before.
#[must_use]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
