//! How a case ends.

use std::fmt;
use std::panic::Location;

/// The result of a case.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A call that answered what it must not, and where in the suite it was made.
pub struct Failure {
    what: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// A failure here.
    #[track_caller]
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self::at(Location::caller(), what)
    }

    /// A failure at a place.
    pub fn at(at: &'static Location<'static>, what: impl Into<String>) -> Self {
        Self { what: what.into(), at }
    }
}

impl From<backend_api::Error> for Failure {
    #[track_caller]
    fn from(e: backend_api::Error) -> Self {
        Self::new(format!("the backend answered {e}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
}
