//! What must hold in every run, one file each, with the argument why.

pub mod agrees;
pub mod durable;
pub mod feed;
pub mod held;
pub mod indexes;
pub mod lies;
pub mod refused;
pub mod sequence;
pub mod space;
pub mod steps;
pub mod unknown;
pub mod writable;

use std::fmt;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, by the name of its file.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
    /// In which act of the plan.
    pub act: usize,
}

impl Violation {
    /// In an act that is not known yet.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into(), act: 0 }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (act {}): {}", self.invariant, self.act, self.what)
    }
}

/// Nothing is wrong, or what is.
pub type Held<T = ()> = Result<T, Violation>;
