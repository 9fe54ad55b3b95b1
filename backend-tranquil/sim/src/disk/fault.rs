//! What can go wrong with a call, how often, and how often it did.

use std::io;

use crate::rng::Rng;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A name for people.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A read fails.
    Read = "read: EIO",
    /// A read is interrupted.
    Interrupted = "read: EINTR",
    /// A read gives less than was asked for.
    ShortRead = "read: short",
    /// A write fails and has written nothing.
    Write = "write: EIO",
    /// A write fails and has written a part.
    PartialWrite = "write: partial, then EIO",
    /// A sync fails; what is not on disk stays dirty.
    Sync = "sync: EIO",
    /// A sync fails once; then the pages count as clean, and are not on disk.
    SyncGate = "sync: EIO once, pages clean and lost",
    /// A sync of a directory fails.
    SyncDirectory = "sync of a directory: EIO",
    /// Anything about names fails.
    Name = "name: EIO",
    /// No descriptor is left.
    Descriptors = "open: EMFILE",
    /// A file's size cannot be asked or set.
    Size = "size: EIO",
    /// No space for a single call.
    NoSpace = "ENOSPC",
    /// The quota is used up for a single call.
    Quota = "EDQUOT",
    /// The key-value store cannot take a run in.
    Ingest = "ingest: EIO",
    /// The key-value store says that it could not, and has.
    IngestDone = "ingest: done and EIO",
    /// The key-value store finds no space.
    IngestFull = "ingest: ENOSPC",
    /// The key-value store cannot read.
    Get = "get: EIO",
}

/// Calls that fail in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading a file.
    Read,
    /// Writing a file.
    Write,
    /// Reserving space.
    Allocate,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDirectory,
    /// Opening or creating a file.
    Open,
    /// Other work on names.
    Name,
    /// A file's size.
    Size,
    /// A key-value store takes in a run.
    Ingest,
    /// A key-value store reads.
    Get,
}

impl Call {
    const fn faults(self) -> &'static [Fault] {
        match self {
            Self::Read => &[Fault::Read, Fault::Interrupted, Fault::ShortRead],
            Self::Write => &[Fault::Write, Fault::PartialWrite, Fault::NoSpace, Fault::Quota],
            Self::Allocate => &[Fault::Write, Fault::NoSpace, Fault::Quota],
            Self::Sync => &[Fault::Sync, Fault::SyncGate],
            Self::SyncDirectory => &[Fault::SyncDirectory],
            Self::Open => &[Fault::Name, Fault::Descriptors],
            Self::Name => &[Fault::Name],
            Self::Size => &[Fault::Size],
            Self::Ingest => &[Fault::Ingest, Fault::IngestDone, Fault::IngestFull],
            Self::Get => &[Fault::Get],
        }
    }
}

/// Rates and counts.
#[derive(Debug, Clone)]
pub struct Faults {
    /// So often in a million calls, by [`Fault`].
    rates_ppm: [u32; Fault::ALL.len()],
    /// How often each fired.
    pub fired: [u64; Fault::ALL.len()],
    /// Nothing goes wrong while it is false.
    pub is_on: bool,
    /// The one call, by its number, that goes wrong, and how.
    pub at: Option<(u64, Fault)>,
}

impl Faults {
    /// A mixture of its own for each seed: some faults often, some seldom, some never.
    pub fn swarm(rng: &mut Rng) -> Self {
        let mut rates_ppm = [0; Fault::ALL.len()];
        for rate in &mut rates_ppm {
            if rng.one_in(3) {
                *rate = rng.pick(&[2_000, 10_000, 50_000]);
            }
        }
        Self { rates_ppm, ..Self::none() }
    }

    /// Nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        let none = [0; Fault::ALL.len()];
        Self { rates_ppm: none, fired: [0; Fault::ALL.len()], is_on: false, at: None }
    }

    /// What goes wrong with a call.
    pub fn draw(&mut self, call: Call, number: u64, rng: &mut Rng) -> Option<Fault> {
        let possible = call.faults();
        let planned = self.at.filter(|(at, fault)| *at == number && possible.contains(fault)).map(|(_, fault)| fault);
        let fault = planned.or_else(|| {
            self.is_on.then(|| possible.iter().copied().find(|f| rng.chance(self.rates_ppm[*f as usize]))).flatten()
        })?;
        self.fired[fault as usize] += 1;
        Some(fault)
    }
}

impl Fault {
    /// As the system would tell it.
    #[must_use]
    pub fn error(self) -> io::Error {
        match self {
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            Self::NoSpace | Self::IngestFull => io::ErrorKind::StorageFull.into(),
            Self::Quota => io::ErrorKind::QuotaExceeded.into(),
            Self::Descriptors => io::Error::other("too many open files"),
            _ => io::Error::other("input/output error"),
        }
    }
}
