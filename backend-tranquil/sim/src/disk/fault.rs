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
    /// The key-value store says that it found no space, and has taken the run in.
    IngestFullDone = "ingest: done and ENOSPC",
    /// The key-value store's work in the background dies.
    Compaction = "metadata: work in the background dies",
    /// The key-value store's files cannot be opened again.
    Reopen = "metadata: cannot be opened again",
    /// The key-value store finds itself damaged when it is opened.
    Damaged = "metadata: damaged when opened",
    /// The key-value store cannot read.
    Get = "get: EIO",
    /// The device says that it wrote a sector, and did not.
    LostWrite = "write: lost",
    /// A sector is written elsewhere.
    MisdirectedWrite = "write: misdirected",
    /// A sector is written where it belongs, and elsewhere.
    DuplicatedWrite = "write: a second time elsewhere",
    /// A read gives a sector as it was before it was written.
    StaleRead = "read: stale",
    /// A read gives a bit that is not the one on disk.
    FlippedRead = "read: a bit flipped",
    /// A bit on disk changes.
    Rot = "at rest: a bit flipped",
    /// A power cut leaves a part of a sector.
    Torn = "power cut: torn sector",
    /// A call takes so long that all others go on meanwhile.
    Slow = "slow call",
    /// The clock jumps ahead, by years.
    ClockAhead = "clock: years ahead",
    /// The clock jumps back, by years.
    ClockBack = "clock: years back",
    /// The clock stands still.
    ClockFrozen = "clock: frozen",
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
    /// Opening a file.
    Open,
    /// Creating a file.
    Create,
    /// Giving a file another name.
    Rename,
    /// Listing a directory.
    List,
    /// Other work on names.
    Name,
    /// Asking for a file's size.
    Size,
    /// Setting it.
    SetSize,
    /// A key-value store takes in a run.
    Ingest,
    /// A key-value store is opened.
    OpenKv,
    /// A key-value store is opened again.
    Reopen,
    /// A key-value store reads.
    Get,
}

impl Call {
    /// What can go wrong with it.
    #[must_use]
    pub const fn faults(self) -> &'static [Fault] {
        use Fault::{Descriptors, NoSpace, Quota};
        use Fault::{DuplicatedWrite, FlippedRead, LostWrite, MisdirectedWrite, Rot, StaleRead};
        match self {
            Self::Read => &[Fault::Read, Fault::Interrupted, Fault::ShortRead, StaleRead, FlippedRead, Rot],
            Self::Write => &[Fault::Write, Fault::PartialWrite, NoSpace, Quota],
            Self::Allocate => &[Fault::Write, NoSpace, Quota],
            // Space that is only given out when it is synced: quotas, file systems of a network.
            Self::Sync => &[Fault::Sync, Fault::SyncGate, NoSpace, Quota, LostWrite, MisdirectedWrite, DuplicatedWrite],
            // A directory is opened to be synced, and to be listed.
            Self::SyncDirectory => &[Fault::SyncDirectory, Descriptors],
            Self::List => &[Fault::Name, Descriptors],
            Self::Open => &[Fault::Name, Descriptors],
            // A directory grows, too.
            Self::Create => &[Fault::Name, Descriptors, NoSpace, Quota],
            Self::Rename => &[Fault::Name, NoSpace, Quota],
            Self::Name => &[Fault::Name],
            Self::Size => &[Fault::Size],
            Self::SetSize => &[Fault::Size, NoSpace],
            Self::Ingest => {
                &[Fault::Ingest, Fault::IngestDone, Fault::IngestFull, Fault::IngestFullDone, Fault::Compaction]
            }
            Self::OpenKv => &[Fault::Name, Fault::Damaged],
            Self::Reopen => &[Fault::Reopen],
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
    /// The one call, by its number among those that count, that goes wrong, and how.
    pub at: Option<(u64, Fault)>,
    /// That has happened.
    pub has_happened: bool,
}

impl Faults {
    /// A mixture of its own for each seed: some faults often, some seldom, some never. A disk that lies is had by few.
    pub fn swarm(rng: &mut Rng) -> Self {
        let mut rates_ppm = [0; Fault::ALL.len()];
        let lies = rng.one_in(4);
        for fault in Fault::ALL {
            let rates = match fault {
                // Of calls that are seldom.
                Fault::Reopen | Fault::Damaged => [50_000, 100_000, 300_000],
                fault if fault.is_lie() => [5_000, 30_000, 150_000],
                _ => [2_000, 10_000, 50_000],
            };
            let rate = if rng.one_in(if fault.is_lie() { 2 } else { 3 }) { rng.pick(&rates) } else { 0 };
            rates_ppm[*fault as usize] = if fault.is_lie() && !lies { 0 } else { rate };
        }
        Self { rates_ppm, ..Self::none() }
    }

    /// Nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        let none = [0; Fault::ALL.len()];
        Self { rates_ppm: none, fired: [0; Fault::ALL.len()], is_on: false, at: None, has_happened: false }
    }

    /// What goes wrong with a call.
    pub fn draw(&mut self, call: Call, number: u64, rng: &mut Rng) -> Option<Fault> {
        self.draw_of(call.faults(), number, rng)
    }

    /// True if a call is slow.
    pub fn draw_slow(&mut self, number: u64, rng: &mut Rng) -> bool {
        self.draw_of(&[Fault::Slow], number, rng).is_some()
    }

    fn draw_of(&mut self, possible: &[Fault], number: u64, rng: &mut Rng) -> Option<Fault> {
        let planned = self.at.filter(|(at, fault)| *at == number && possible.contains(fault)).map(|(_, fault)| fault);
        self.has_happened |= planned.is_some();
        let fault = planned.or_else(|| {
            self.is_on.then(|| possible.iter().copied().find(|f| rng.chance(self.rates_ppm[*f as usize]))).flatten()
        })?;
        self.count(fault, 1);
        Some(fault)
    }

    /// How often a sector is torn by a power cut.
    #[must_use]
    pub const fn torn_ppm(&self) -> u32 {
        // Many sectors are in one cut, and few cuts in a run.
        self.rates_ppm[Fault::Torn as usize] * 4
    }

    /// It happened so often.
    pub const fn count(&mut self, fault: Fault, times: u64) {
        self.fired[fault as usize] += times;
    }

    /// There was nothing that could go wrong.
    pub const fn uncount(&mut self, fault: Fault) {
        self.fired[fault as usize] -= 1;
    }

    /// Faults that may make somebody refuse.
    #[must_use]
    pub fn troubles(&self) -> u64 {
        Fault::ALL.iter().filter(|f| !f.is_quiet()).map(|f| self.fired[*f as usize]).sum()
    }

    /// True if the disk ever lied.
    #[must_use]
    pub fn has_lied(&self) -> bool {
        Fault::ALL.iter().any(|f| f.is_lie() && self.fired[*f as usize] > 0)
    }
}

impl Fault {
    /// The disk says one thing and does another: no error tells of it.
    #[must_use]
    pub const fn is_lie(self) -> bool {
        use Fault::{DuplicatedWrite, FlippedRead, LostWrite, MisdirectedWrite, Rot, StaleRead};
        matches!(self, LostWrite | MisdirectedWrite | DuplicatedWrite | StaleRead | FlippedRead | Rot)
    }

    /// Nobody has to notice.
    const fn is_quiet(self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::ShortRead
                | Self::Torn
                | Self::Slow
                | Self::ClockAhead
                | Self::ClockBack
                | Self::ClockFrozen
        )
    }

    /// As the system would tell it.
    #[must_use]
    pub fn error(self) -> io::Error {
        match self {
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            Self::NoSpace | Self::IngestFull | Self::IngestFullDone => io::ErrorKind::StorageFull.into(),
            Self::Quota => io::ErrorKind::QuotaExceeded.into(),
            Self::Descriptors => io::Error::from_raw_os_error(24),
            _ => io::Error::other("input/output error"),
        }
    }
}
