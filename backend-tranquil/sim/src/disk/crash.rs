//! What a crash leaves.

use crate::rng::Rng;

/// How the engine ends without being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: files are as it left them.
    Kill,
    /// The power goes.
    Power(Survivors),
}

/// What is kept of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// The first so many changes of the disk.
    First(u64),
    /// Each change of a name or a size, and each sector of a write, by itself, so often in a million times.
    Some(u32),
}

/// Decides piece by piece.
pub enum Keep<'a> {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// What was done before.
    Before(u64),
    /// By lot.
    Lot(&'a mut Lots),
}

/// Lots.
pub struct Lots {
    /// Decides.
    pub rng: Rng,
    /// A piece is kept so often in a million times.
    pub kept_ppm: u32,
    /// Of a sector that is kept, only a part is so often in a million times.
    pub torn_ppm: u32,
    /// Sectors that were torn.
    pub torn: u64,
}

impl Keep<'_> {
    /// True if a change of a name or of a size is kept.
    pub const fn keeps(&mut self, order: u64) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Before(end) => order < *end,
            Self::Lot(lots) => lots.rng.chance(lots.kept_ppm),
        }
    }

    /// How many bytes are kept of those that a write has in one sector: the first ones.
    pub const fn kept(&mut self, order: u64, bytes: usize) -> usize {
        if !self.keeps(order) {
            return 0;
        }
        let Self::Lot(lots) = self else { return bytes };
        if bytes == 1 || !lots.rng.chance(lots.torn_ppm) {
            return bytes;
        }
        lots.torn += 1;
        1 + lots.rng.below(bytes as u64 - 1) as usize
    }
}
