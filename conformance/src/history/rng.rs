//! Random numbers that are the same everywhere and for ever.

/// The generator `xorshift64*` (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
pub(super) struct Rng(u64);

impl Rng {
    /// Any seed will do; 0 is no state of the generator, so the seed is spread first.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to `end` - 1.
    pub const fn below(&mut self, end: u64) -> u64 {
        // The high bits are the better ones.
        (self.next() >> 16) % end
    }

    /// True once in `n` times.
    pub const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Nothing half of the time.
    pub fn maybe(&mut self, end: u64) -> Option<u64> {
        (!self.one_in(2)).then(|| self.below(end))
    }
}
