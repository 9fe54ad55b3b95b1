//! Life on a disk that lies: what is damaged is refused by name, the file is restored, and everything is there.

use backend_api::{Changes, Error, Maintenance, Pos, Snapshots, VerifyLevel};
use futures::StreamExt as _;

use super::World;
use crate::disk::Crash;
use crate::invariants::steps::{TURNS_MAX, answered};
use crate::invariants::{Held, Violation, held, lies, writable};

/// How a run ends early, without fault of the store's.
const OVER: &str = "over";
/// What was asked cannot be answered before a file is restored.
const DAMAGED: &str = "damaged";

impl Violation {
    /// True if the run is over without fault of the store's.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.invariant == OVER
    }

    /// True if a file has to be restored first.
    pub(super) fn is_damage(&self) -> bool {
        self.invariant == DAMAGED
    }
}

impl World {
    pub(super) fn is_harmed(&self) -> bool {
        self.machine.disk.state().is_harmed()
    }

    pub(super) fn has_lied(&self) -> bool {
        self.machine.disk.state().faults.has_lied()
    }

    /// True for an error that damage explains, which must be named.
    pub(super) fn explains(&self, error: &Error) -> Held<bool> {
        if !lies::tells(error) || !self.has_lied() {
            return Ok(false);
        }
        lies::named(error).map(|()| true)
    }

    /// An error of something that had to be answered: a violation, or a reason to restore a file first.
    pub(super) fn unanswered(&self, what: &str, error: &Error) -> Violation {
        match self.explains(error) {
            Ok(true) if self.is_harmed() => Violation::new(DAMAGED, format!("{what}: {error}")),
            Ok(_) => Violation::new("agrees", format!("{what}: {error}")),
            Err(violation) => violation,
        }
    }

    /// Everything that can be read of a store on a damaged disk is right; then the disk is repaired.
    pub(super) fn compare_and_heal(&mut self) -> Held {
        // What an unfinished sweep has forgotten, and what not, nobody can tell.
        if self.sweep_owed.is_some() || !self.is_idle() {
            return self.heal();
        }
        let mut rng = self.rng.clone();
        let engine = self.engine();
        let mut found = Vec::new();
        let read = async {
            let mut items = engine.db.snapshot().await?.items;
            while let Some(item) = items.next().await {
                found.push(item?);
            }
            Ok(())
        };
        let read = engine.wait(read, &mut rng, TURNS_MAX);
        let level = if rng.one_in(2) { VerifyLevel::Deep } else { VerifyLevel::Repair };
        let verified = engine.wait(engine.db.verify(level), &mut rng, TURNS_MAX * 10);
        self.rng = rng;
        let model = async { held::items(self.model.snapshot().await?).await };
        let expected = futures::FutureExt::now_or_never(model).expect("the model never waits");
        let expected = expected.map_err(|e| Violation::new("lies", format!("the model's snapshot: {e}")))?;
        match answered("a snapshot", read)? {
            Ok(()) if found == expected => {}
            Ok(()) => {
                lies::is_beginning(&found, &expected).and(Err(Violation::new("lies", "a snapshot is too short")))?
            }
            Err(e) => {
                self.may_fail(&e)?;
                lies::is_beginning(&found, &expected)?;
            }
        }
        match answered("a verification", verified)? {
            Ok(_) => {}
            Err(e) => self.may_fail(&e)?,
        }
        self.heal()
    }

    /// The store is closed, its damaged files are restored from copies, and it is opened again.
    pub(super) fn heal(&mut self) -> Held {
        self.ended(Crash::Kill);
        self.disk().state().heal();
        self.report.healed += 1;
        self.open(&[])
    }

    /// The store does not open, and no file is damaged. On a disk that lied about the log nobody can tell that its lost end let
    /// the oldest events go: they are missed, by name.
    pub(super) fn cannot_open(&mut self, error: &Error) -> Violation {
        if self.machine.disk.state().is_log_suspect && error.detail().contains("are missing") {
            self.report.older += 1;
            return Violation::new(OVER, "a disk that lied lost the end of the log, by which events had been let go");
        }
        writable::cannot_open(error)
    }

    /// The store opens at an earlier position than it had. On a disk that lied about the log nobody can tell; then what is
    /// left is a beginning, and the run is over.
    pub(super) fn is_older(&mut self, position: Pos) -> Held {
        if position >= self.newest() || !self.machine.disk.state().is_log_suspect {
            return Ok(());
        }
        let found = self.ask("change feed", |engine| {
            let db = engine.db.clone();
            async move { db.changes(Pos(0), 100_000, usize::MAX).await }
        })?;
        let expected = futures::FutureExt::now_or_never(self.model.changes(Pos(0), 100_000, usize::MAX));
        let expected = expected.expect("the model never waits");
        lies::is_older(found, expected.map_err(|e| Violation::new("lies", e.to_string()))?)?;
        self.report.older += 1;
        Err(Violation::new(OVER, "a disk that lied lost the end of the log"))
    }
}
