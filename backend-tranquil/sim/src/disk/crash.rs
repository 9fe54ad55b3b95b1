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
    Lot(&'a mut Rng, u32),
}

impl Keep<'_> {
    /// True if a piece of a change is kept.
    pub const fn keeps(&mut self, order: u64) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Before(end) => order < *end,
            Self::Lot(rng, ppm) => rng.chance(*ppm),
        }
    }
}
