//! Those who read, follow, sweep and compare.

use backend_api::{
    AccountName, Accounts, At, Blocks, Firehose, Maintenance, Reason, RecordQuery, Records, Repos, Result, Seq,
    Snapshots,
};
use conformance::history::{self, Whom, everything};
use conformance::scene;
use futures::FutureExt as _;

use super::World;
use super::engine::Stuck;
use crate::invariants::refused::{has_cause, infrastructure};
use crate::invariants::steps::{TURNS_MAX, answered};
use crate::invariants::{Held, Violation, agrees, held, writable};

/// What came of a call; and whether the disk was full when it was made, so that it may wait for space.
pub(super) struct Answered<T>(pub Result<T, Stuck>, bool);

impl World {
    /// Somebody starts to follow.
    pub(super) fn follow(&mut self, back: u64) -> Held {
        let window = self.ask("event window", |engine| {
            let db = engine.db.clone();
            async move { db.event_window().await }
        })?;
        let (oldest, head) = (window.oldest.get(), window.head.get());
        self.followers.push(head.saturating_sub(back).max(oldest.saturating_sub(1)));
        Ok(())
    }

    /// One of them reads on.
    pub(super) fn read(&mut self, who: u64, limit: u64) -> Held {
        if self.followers.is_empty() {
            return Ok(());
        }
        let who = who as usize % self.followers.len();
        let after = self.followers[who];
        let (db, cursor) = (self.engine().db.clone(), Seq::new(after).unwrap_or_default());
        let bytes_max = if self.rng.one_in(3) { 500 } else { usize::MAX };
        let call = async move { db.events(cursor, limit as usize, bytes_max).await };
        let answer = self.wait(call);
        // Seen is seen, also if the machine went down the next moment.
        if let Answered(Ok(Ok(events)), _) = &answer {
            self.ledger.saw(after, events)?;
            self.followers[who] += events.len() as u64;
        }
        match self.heard("events", answer)? {
            Some(Err(e)) if e.reason() == Reason::CursorGone => drop(self.followers.swap_remove(who)),
            Some(Err(e)) => self.may_fail(&e)?,
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// Calls the engine whatever the machine does. `None` if it went down meanwhile, or on a full disk for which it waits.
    pub(super) fn call<T>(&mut self, what: &str, call: impl Future<Output = T>) -> Held<Option<T>> {
        let answer = self.wait(call);
        self.heard(what, answer)
    }

    /// The same, for those to whom an answer counts before it is [`World::heard`].
    pub(super) fn wait<T>(&mut self, call: impl Future<Output = T>) -> Answered<T> {
        let mut rng = self.rng.clone();
        let is_full = self.disk().state().is_full();
        let answer = self.engine().wait(call, &mut rng, if is_full { 200 } else { TURNS_MAX });
        self.rng = rng;
        Answered(answer, is_full)
    }

    /// Goes on after an answer, or after what happened to the machine meanwhile.
    pub(super) fn heard<T>(&mut self, what: &str, Answered(answer, is_full): Answered<T>) -> Held<Option<T>> {
        if self.disk().state().is_off {
            self.crashed()?;
            return Ok(None);
        }
        self.collect()?;
        match answer {
            Err(_) if is_full => Ok(None),
            answer => answered(what, answer).map(Some),
        }
    }

    /// An error of the machine's, for which there is a cause.
    pub(super) fn may_fail(&mut self, e: &backend_api::Error) -> Held {
        self.look_for_trouble();
        self.is_stopped |= e.reason() == Reason::Closed;
        match infrastructure(e.reason()) {
            Some(_) => has_cause(e, self.troubled),
            None if self.explains(e)? => Ok(()),
            None => Err(Violation::new("agrees", format!("a read was answered {e}"))),
        }
    }

    /// Random reads, which give the model's answer or fail for a cause.
    pub(super) fn peek(&mut self, reads: u64) -> Held {
        self.end_sweep()?;
        for _ in 0..reads {
            if !self.is_idle() {
                self.settle()?;
            }
            if !self.is_idle() {
                return Ok(());
            }
            self.peek_once()?;
        }
        Ok(())
    }

    fn peek_once(&mut self) -> Held {
        let did = history::World::did(self.rng.below(6));
        let db = self.engine().db.clone();
        let name = AccountName::Did(did.clone());
        match self.rng.below(4) {
            0 => {
                let expected = self.model.account(&name).now_or_never().expect("the model never waits");
                let found = self.call("account", async move { db.account(&name).await })?;
                self.peeked("account", found, &expected)
            }
            1 => {
                let expected = self.model.repo(&did, At::Head).now_or_never().expect("the model never waits");
                let found = self.call("repo", async move { db.repo(&did, At::Head).await })?;
                self.peeked("repo", found, &expected)
            }
            2 => {
                let (after, limit) = (None, 1 + self.rng.below(20) as usize);
                let collection = scene::nsid("com.example.note");
                let query = RecordQuery { collection, after, limit, reverse: self.rng.one_in(2) };
                let expected = self.model.records(&did, &query).now_or_never().expect("the model never waits");
                let found = self.call("records", async move { db.records(&did, &query).await })?;
                self.peeked("records", found, &expected)
            }
            _ => {
                let known = self.people.cids();
                let from = self.rng.below(known.len() as u64 + 1) as usize;
                let cids = known[from..known.len().min(from + 8)].to_vec();
                let blocks = backend_api::BlockReads::blocks(&self.model, &did, &cids, Blocks::History).now_or_never();
                let expected = blocks.expect("the model never waits");
                let found = self.call("blocks", async move {
                    backend_api::BlockReads::blocks(&*db, &did, &cids, Blocks::History).await
                })?;
                self.peeked("blocks", found, &expected)
            }
        }
    }

    fn peeked<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        found: Option<Result<T>>,
        expected: &Result<T>,
    ) -> Held {
        match found {
            Some(Err(e)) if infrastructure(e.reason()).is_some() || self.explains(&e)? => self.may_fail(&e),
            Some(found) => agrees::same(what, &found, expected),
            None => Ok(()),
        }
    }

    /// A checkpoint, which may fail.
    pub(super) fn checkpoint(&mut self) -> Held {
        let db = self.engine().db.clone();
        match self.call("checkpoint", async move { db.checkpoint().await })? {
            Some(Err(e)) => self.may_fail(&e),
            _ => Ok(()),
        }
    }

    /// A sweep to its end, in the engine and in the model. Nobody writes meanwhile.
    pub(super) fn sweep(&mut self, budget: usize) -> Held {
        self.end_sweep()?;
        self.settle()?;
        if !self.is_idle() {
            return Ok(());
        }
        self.sweep_owed = Some(self.machine.now());
        self.sweep_on(budget)
    }

    pub(super) fn sweep_on(&mut self, budget: usize) -> Held {
        loop {
            let db = self.engine().db.clone();
            match self.call("sweep", async move { db.sweep(budget).await })? {
                Some(Ok(report)) => {
                    let forgotten = report.blocks + report.entries + report.rows + report.events;
                    if forgotten > budget as u64 || (forgotten == 0 && !report.done) {
                        let what = format!("a sweep of {budget} entries reports {report:?}");
                        return Err(Violation::new("agrees", what));
                    }
                    if let Some(held) = report.held.first() {
                        self.look_for_trouble();
                        let error = backend_api::Error::new(Reason::ReadFailed, held.clone());
                        return has_cause(&error, self.troubled);
                    }
                    if report.done {
                        break;
                    }
                }
                Some(Err(e)) => return self.may_fail(&e),
                None => return Ok(()),
            }
        }
        while !self.model.sweep(usize::MAX).now_or_never().expect("the model never waits").is_ok_and(|r| r.done) {}
        self.sweep_owed = None;
        Ok(())
    }

    /// A sweep that was broken off is ended first, on a machine that works: what it has forgotten is not in the model. It is
    /// ended at its own time, for what it forgot then may have been all there was: of what time a later one was would not
    /// count for the engine.
    pub(super) fn end_sweep(&mut self) -> Held {
        let Some(at) = self.sweep_owed else { return Ok(()) };
        let before = self.calm();
        if self.is_harmed() {
            // It stands still at what cannot be read.
            self.heal()?;
            self.calm();
        }
        // The engine may have stopped and nobody has heard of it.
        for _ in 0..2 {
            if self.is_stopped {
                self.give_up()?;
                self.calm();
            }
            // It may have been ended by what the open compared.
            if self.sweep_owed.is_some() {
                let now = self.machine.now();
                self.settle()?;
                self.set_time(at.0)?;
                // What could not be opened again is tried again: that is a drain's work.
                self.checkpoint()?;
                self.sweep_on(1_000)?;
                self.set_time(now.0)?;
            }
        }
        self.resume(before);
        match self.sweep_owed {
            None => Ok(()),
            Some(_) => Err(Violation::new("writable", "a sweep cannot be ended on a good disk")),
        }
    }

    /// Everything is compared, on a machine that works.
    pub(super) fn compare(&mut self) -> Held {
        let before = self.calm();
        self.settle()?;
        // It may have stopped, and nobody has heard of it.
        self.checkpoint()?;
        if self.is_stopped {
            self.give_up()?;
            self.calm();
        }
        if self.is_harmed() {
            // Sweeps and all stand still at what cannot be read.
            self.compare_and_heal()?;
            self.calm();
        }
        self.end_sweep()?;
        self.report.compared += 1;
        let mut rng = self.rng.clone();
        let engine = self.engine();
        let compared =
            engine.wait(everything(&*engine.db, &self.model, &self.people, Whom::All), &mut rng, TURNS_MAX * 10);
        let items = engine.wait(
            async {
                let snapshot = engine.db.snapshot().await?;
                held::items(snapshot).await
            },
            &mut rng,
            TURNS_MAX,
        );
        self.rng = rng;
        // What must hold of a store by itself, before what it has in common with another.
        let items = answered("a snapshot", items)?.map_err(|e| Violation::new("agrees", format!("snapshot: {e}")))?;
        held::check(&items)?;
        answered("a comparison", compared)?.map_err(|what| Violation::new("agrees", what))?;
        self.probe()?;
        self.resume(before);
        Ok(())
    }

    /// A write on a machine that works is taken, or refused by the planner.
    fn probe(&mut self) -> Held {
        let who = self.rng.below(5);
        let intents = [conformance::history::Intent::PutBlob(self.rng.below(6))];
        let expected = self.model.account(&AccountName::Did(history::World::did(who))).now_or_never();
        let there = expected.expect("the model never waits").is_ok_and(|account| account.is_some());
        let before = self.newest();
        self.send(&[(who, intents.to_vec())])?;
        self.settle()?;
        let is_taken = self.newest() > before;
        if there && !is_taken {
            return writable::takes(&Err(backend_api::Error::new(Reason::Closed, "a blob was not put")));
        }
        Ok(())
    }
}
