//! Crashes, closes and opens.

use backend_api::{Changes, Firehose, Pos};

use super::{Engine, Flight, Machine, Sent, World};
use crate::disk::{Crash, Fault, Survivors};
use crate::invariants::steps::{TURNS_MAX, answered};
use crate::invariants::unknown::{self, Doubtful};
use crate::invariants::{Held, durable, writable};
use crate::plan::how;
use crate::rng::Rng;

/// Whether things go wrong.
pub(super) struct Weather {
    is_storm: bool,
    is_calm: bool,
}

impl World {
    /// The power went, or the process was killed, as it was planned.
    pub(super) fn crashed(&mut self) -> Held {
        let (crash, again) = self.crash.take().unwrap_or((Crash::Power(Survivors::None), Vec::new()));
        self.ended(crash);
        self.has_crashed = true;
        self.open(&again)
    }

    /// The engine has stopped: somebody kills it, or the machine goes down.
    pub(super) fn give_up(&mut self) -> Held {
        let crash = how(&mut self.rng);
        self.ended(crash);
        self.open(&[])
    }

    /// Closed in good order, and opened again.
    pub(super) fn reopen(&mut self) -> Held {
        self.engine().steps.close();
        if self.disk().state().is_off {
            return self.crashed();
        }
        self.collect()?;
        self.ended(Crash::Kill);
        self.open(&[])
    }

    /// Closed, the key-value store's directory deleted, and opened again.
    pub(super) fn lose_metadata(&mut self) -> Held {
        self.engine().steps.close();
        if self.disk().state().is_off {
            return self.crashed();
        }
        self.collect()?;
        self.ended(Crash::Kill);
        // On a full disk there may be no room to make it again.
        let mut state = self.disk().state();
        state.free_bytes = None;
        drop(state.lose(&Machine::metadata()));
        drop(state);
        self.open(&[])
    }

    /// The engine is gone, and with it every answer that was not heard.
    pub(super) fn ended(&mut self, crash: Crash) {
        self.disk().set_between(None);
        self.in_doubt.extend(self.lanes.take_in_doubt());
        let unheard: Vec<Sent> = self.flights.drain(..).flat_map(Flight::into_in_doubt).collect();
        self.in_doubt.extend(unheard);
        self.export = None;
        let state = self.machine.disk.state();
        let troubles = state.faults.troubles();
        // Crashes alone make nobody refuse.
        self.is_whole &= !self.troubled && !state.is_full() && !state.is_harmed() && troubles == self.fired_at_open;
        drop(state);
        self.engine = None;
        self.report.crashes += 1;
        self.disk().state().restart(crash);
    }

    /// Opens, again and again if that fails; when nothing goes wrong any more it must succeed.
    pub(super) fn open(&mut self, again: &[(u64, Crash)]) -> Held {
        let fired_before = self.disk().state().faults.troubles();
        let damaged_before = self.disk().state().faults.fired[Fault::Damaged as usize];
        for attempt in 0.. {
            let planned = again.get(attempt).copied();
            let is_quiet = {
                let mut state = self.disk().state();
                if attempt > again.len() + 1 {
                    state.faults.is_on = false;
                    state.faults.at = None;
                    state.free_bytes = None;
                }
                if let Some((after, _)) = planned {
                    state.crash_at = Some(state.counted + after);
                }
                let is_fair = state.is_calm || (!state.faults.is_on && state.faults.at.is_none());
                planned.is_none() && is_fair && !state.is_full()
            };
            self.report.opens += 1;
            let opened = self.machine.open();
            let is_off = {
                let mut state = self.disk().state();
                if planned.is_some() {
                    state.crash_at = None;
                }
                state.trace.note(opened.is_ok() as u64);
                state.is_off
            };
            match opened {
                Ok(engine) if !is_off => {
                    self.engine = Some(engine);
                    break;
                }
                _ if is_off => {
                    drop(opened);
                    self.report.crashes += 1;
                    let Some((_, crash)) = planned else {
                        // It was planned for some call after an act, and came to be one of this open.
                        let (crash, again) = self.crash.take().unwrap_or((Crash::Kill, Vec::new()));
                        self.has_crashed = true;
                        self.disk().state().restart(crash);
                        return self.open(&again);
                    };
                    self.disk().state().restart(crash);
                }
                Err(e) if self.is_harmed() && self.explains(&e)? => {
                    // By the name in the message somebody restores it, sooner or later.
                    if self.rng.one_in(2) || is_quiet {
                        self.report.healed += 1;
                        self.disk().state().heal();
                    }
                    self.disk().state().restart(Crash::Kill);
                }
                Err(e) if is_quiet => return Err(self.cannot_open(&e)),
                Err(e) => {
                    // What was just made anew may be damaged at once.
                    let damaged = self.machine.disk.state().faults.fired[Fault::Damaged as usize];
                    if !self.explains(&e)? && damaged == damaged_before {
                        writable::no_damage(&e)?;
                    }
                    let crash = how(&mut self.rng);
                    self.disk().state().restart(crash);
                }
                Ok(_) => unreachable!("both cases of an open store are above"),
            }
        }
        // What went wrong within the open may show later.
        self.fired_at_open = fired_before;
        self.opened()
    }

    /// What must hold right after an open.
    fn opened(&mut self) -> Held {
        let free_bytes = self.disk().state().free_bytes;
        let before = self.calm();
        self.is_stopped = false;
        self.troubled = free_bytes.is_some();
        match self.is_as_it_was() {
            Err(e) if e.is_damage() => {
                self.heal()?;
                self.resume(before);
                return Ok(());
            }
            other => other?,
        }
        if self.rng.one_in(3) {
            self.compare()?;
        }
        self.resume(before);
        self.disk().state().free_bytes = free_bytes;
        let ppm = self.machine.setup.between_ppm;
        let rng = Rng::new(self.rng.next());
        self.engine().interrupt(&self.machine.disk, rng, ppm);
        Ok(())
    }

    /// What was acknowledged is there, and what was seen.
    fn is_as_it_was(&mut self) -> Held {
        let position = self.ask("position", |engine| {
            let db = engine.db.clone();
            async move { db.position().await }
        })?;
        self.is_older(position)?;
        durable::check(position, self.newest)?;
        self.feed.reaches(position)?;
        self.resolve()?;
        let window = self.ask("event window", |engine| {
            let db = engine.db.clone();
            async move { db.event_window().await }
        })?;
        self.ledger.reaches(window)
    }

    /// What the store has beyond what was acknowledged must be among what is in doubt.
    fn resolve(&mut self) -> Held {
        let after = self.newest;
        let changes = self.ask("change feed", move |engine| {
            let db = engine.db.clone();
            async move { db.changes(after, 10_000, usize::MAX).await }
        })?;
        let in_doubt = std::mem::take(&mut self.in_doubt);
        let mutations: Vec<Doubtful> = in_doubt.iter().map(|sent| (sent.mutation.clone(), sent.is_large())).collect();
        let now = self.machine.now();
        let happened = unknown::resolve(&self.model, &self.model_clock, changes, &mutations, self.is_whole)?;
        self.is_whole = true;
        self.model_clock.set(now);
        self.report.in_doubt.0 += in_doubt.len() as u64;
        self.report.in_doubt.1 += happened.len() as u64;
        let mut in_doubt: Vec<Option<Sent>> = in_doubt.into_iter().map(Some).collect();
        for (i, receipt) in happened {
            if let Some(sent) = in_doubt[i].take() {
                self.learn(sent.who, sent.after, &receipt);
            }
        }
        Ok(())
    }

    /// Asks the engine, on a disk that works.
    pub(super) fn ask<T, F: Future<Output = backend_api::Result<T>>>(
        &mut self,
        what: &str,
        call: impl FnOnce(&Engine) -> F,
    ) -> Held<T> {
        let mut rng = self.rng.clone();
        let engine = self.engine();
        let answer = engine.wait(call(engine), &mut rng, TURNS_MAX);
        self.rng = rng;
        answered(what, answer)?.map_err(|e| self.unanswered(what, &e))
    }

    /// The newest position that was answered.
    pub(super) const fn newest(&self) -> Pos {
        self.newest
    }

    /// Nothing goes wrong from now on; what is planned waits. Gives how it was.
    pub(super) fn calm(&self) -> Weather {
        let mut state = self.disk().state();
        state.free_bytes = None;
        let is_storm = std::mem::replace(&mut state.faults.is_on, false);
        Weather { is_storm, is_calm: std::mem::replace(&mut state.is_calm, true) }
    }

    /// It is as it was before.
    pub(super) fn resume(&self, before: Weather) {
        let mut state = self.disk().state();
        (state.faults.is_on, state.is_calm) = (before.is_storm, before.is_calm);
    }
}
