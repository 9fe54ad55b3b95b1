//! What the exit code of a command says.

use std::process::ExitCode;

use backend_api::{Error, Kind};

/// How a command ended. 2 is the argument parser's: the command line is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Done, and something was found wrong: `verify` reported problems.
    Problems = 1,
    /// Refused: the request or the file is wrong, or the state does not allow it.
    Refused = 3,
    /// Not possible now: in use, closed, full, given up, or a read failed.
    Unavailable = 4,
    /// Stored bytes are damaged.
    Damaged = 5,
    /// Not known: ask the store after it was opened again.
    Unknown = 6,
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            Kind::Invalid | Kind::Missing | Kind::Conflict | Kind::Limit | Kind::Gone => Self::Refused,
            Kind::Busy | Kind::Stopped => Self::Unavailable,
            Kind::Corrupt => Self::Damaged,
            Kind::OutcomeUnknown => Self::Unknown,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
