//! Sending mutations, and hearing what became of them.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use backend_api::{Mutation, Pos, Receipt, Result, Writes};
use conformance::history::{After, Intent};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::task::noop_waker_ref;

use super::{Sent, World};
use crate::invariants::refused::{self, Infrastructure, infrastructure};
use crate::invariants::steps::{self, TURNS_MAX};
use crate::invariants::{Held, agrees};
use crate::world::Stuck;

type Answers = Vec<Result<Receipt>>;

/// A call that is not answered yet, or whose answer nobody has looked at.
pub(super) struct Flight {
    sent: Vec<Sent>,
    is_large: bool,
    call: BoxFuture<'static, Answers>,
    answers: Option<Answers>,
}

impl Flight {
    /// Those of which nobody knows what became of them.
    pub(super) fn into_in_doubt(mut self) -> Vec<Sent> {
        self.poll();
        let Some(answers) = self.answers else { return self.sent };
        self.sent.into_iter().zip(answers).filter(|(_, answer)| !is_refused(answer)).map(|(sent, _)| sent).collect()
    }

    pub(super) const fn is_several(&self) -> bool {
        self.sent.len() > 1
    }

    fn poll(&mut self) -> bool {
        if self.answers.is_none()
            && let Poll::Ready(answers) = self.call.as_mut().poll(&mut Context::from_waker(noop_waker_ref()))
        {
            self.answers = Some(answers);
        }
        self.answers.is_some()
    }
}

/// What the engine says was not written, it must not have written.
fn is_refused(answer: &Result<Receipt>) -> bool {
    let kind = answer.as_ref().err().and_then(|e| infrastructure(e.reason()));
    matches!(kind, Some(Infrastructure::Busy | Infrastructure::Stopped))
}

/// Answers that were heard, of small mutations and of large ones, which small ones pass.
#[derive(Default)]
pub(super) struct Lanes([VecDeque<(Sent, Result<Receipt>)>; 2]);

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(VecDeque::is_empty)
    }

    fn push(&mut self, sent: Sent, answer: Result<Receipt>, is_large: bool) {
        self.0[usize::from(is_large)].push_back((sent, answer));
    }

    /// The next answer in the order of the log; refusals whenever they come.
    fn pop(&mut self, newest: Pos) -> Option<(Sent, Result<Receipt>)> {
        let is_next = |answer: &Result<Receipt>| answer.as_ref().map_or(true, |r| r.pos.0 <= newest.0 + 1);
        let lane = self.0.iter_mut().find(|lane| lane.front().is_some_and(|(_, answer)| is_next(answer)))?;
        lane.pop_front()
    }

    /// Those of which nobody knows what became of them.
    pub(super) fn take_in_doubt(&mut self) -> Vec<Sent> {
        let heard = self.0.iter_mut().flat_map(std::mem::take);
        heard.filter(|(_, answer)| !is_refused(answer)).map(|(sent, _)| sent).collect()
    }
}

impl World {
    /// True if nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.lanes.is_empty()
    }

    /// Sends mutations, one by itself, several together. Usually a person waits for an answer before the next one.
    pub(super) fn send(&mut self, wanted: &[(u64, Vec<Intent>)]) -> Held {
        // What an unfinished sweep has forgotten, and what not, nobody can tell.
        self.end_sweep()?;
        self.send_now(wanted)
    }

    /// The same while a sweep goes on.
    pub(super) fn send_now(&mut self, wanted: &[(u64, Vec<Intent>)]) -> Held {
        let waiting = || self.flights.iter().flat_map(|f| &f.sent);
        let waits = waiting().any(|sent| wanted.iter().any(|(who, _)| *who == sent.who));
        // Which of them is first, if one is large, nobody can tell.
        let is_between = waiting().any(|sent| sent.is_large() && wanted.iter().any(|(who, _)| *who == sent.who));
        if is_between || waits && !self.rng.one_in(5) {
            self.settle()?;
        }
        let now = self.machine.now();
        let mut sent = Vec::new();
        for (who, intents) in wanted {
            let (mutation, after) = self.people.mutation(*who, intents, now);
            sent.push(Sent::new(mutation, *who, after));
        }
        self.fly(sent, false)
    }

    /// The newest mutation again.
    pub(super) fn retry(&mut self) -> Held {
        let Some(last) = self.last.clone() else { return Ok(()) };
        self.end_sweep()?;
        if last.is_large() || self.flights.iter().any(|flight| flight.is_large) {
            self.settle()?;
        }
        self.fly(vec![last], false)
    }

    /// The newest mutation's key for something else.
    pub(super) fn reuse_key(&mut self) -> Held {
        let Some(last) = self.last.clone() else { return Ok(()) };
        self.end_sweep()?;
        if self.flights.iter().any(|flight| flight.is_large) {
            self.settle()?;
        }
        let now = self.machine.now();
        let (other, after) = self.people.mutation(last.who, &[Intent::Account, Intent::PutBlob(0)], now);
        let mutation = Mutation { key: last.mutation.key, ..other };
        self.fly(vec![Sent::new(mutation, last.who, after)], false)
    }

    pub(super) fn fly(&mut self, mut sent: Vec<Sent>, goes_on: bool) -> Held {
        self.report.sent += sent.len() as u64;
        sent.iter_mut().for_each(|sent| sent.is_late = self.is_stopped);
        let db = self.engine().db.clone();
        let mutations: Vec<Mutation> = sent.iter().map(|sent| sent.mutation.clone()).collect();
        if let [one] = &sent[..] {
            self.last = Some(one.clone());
        }
        let call = match <[Mutation; 1]>::try_from(mutations) {
            Ok([one]) => async move { vec![db.apply(one).await] }.boxed(),
            Err(many) => async move { db.apply_many(many).await }.boxed(),
        };
        let is_large = sent.iter().any(Sent::is_large);
        let mut flight = Flight { sent, is_large, call, answers: None };
        flight.poll();
        self.flights.push_back(flight);
        // Some wait for the answer, some do not.
        if !goes_on && self.rng.one_in(2) {
            self.settle()?;
        }
        Ok(())
    }

    /// One step of the engine, and its answers. False if there is nothing to do.
    pub(super) fn turn(&mut self) -> Held<bool> {
        let mut rng = self.rng.clone();
        let moved = self.engine().turn(&mut rng);
        self.rng = rng;
        if self.disk().state().is_off {
            self.crashed()?;
        }
        self.collect()?;
        Ok(moved)
    }

    /// Turns until everything is answered. On a full disk some may have to wait.
    pub(super) fn settle(&mut self) -> Held {
        for _ in 0..TURNS_MAX {
            self.collect()?;
            if self.is_idle() {
                return Ok(());
            }
            let is_full = self.disk().state().is_full();
            if !self.turn()? {
                break;
            }
            if is_full && self.rng.one_in(50) {
                return Ok(());
            }
        }
        self.collect()?;
        if self.is_idle() { Ok(()) } else { steps::answered("a write", Err(Stuck)) }
    }

    /// Hears the answers that are there, and looks at them in the order of the log.
    pub(super) fn collect(&mut self) -> Held {
        for is_large in [false, true] {
            let ready = |flight: &Flight| flight.is_large == is_large;
            while let Some(i) = self.flights.iter().position(ready)
                && self.flights[i].poll()
            {
                let Some(flight) = self.flights.remove(i) else { break };
                for (sent, answer) in flight.sent.into_iter().zip(flight.answers.unwrap_or_default()) {
                    self.lanes.push(sent, answer, is_large);
                }
            }
        }
        while let Some((sent, answer)) = self.lanes.pop(self.newest) {
            self.answered(sent, answer)?;
        }
        Ok(())
    }

    fn answered(&mut self, sent: Sent, answer: Result<Receipt>) -> Held {
        if sent.is_late {
            refused::stays_stopped(&answer)?;
        }
        let kind = answer.as_ref().err().and_then(|e| infrastructure(e.reason()));
        self.disk().state().trace.note(answer.as_ref().map_or_else(|e| e.reason() as u64, |r| r.pos.0 << 8));
        if let (Some(kind), Err(error)) = (kind, &answer) {
            self.look_for_trouble();
            refused::has_cause(error, self.troubled)?;
            self.is_stopped |= kind != Infrastructure::Busy;
            if kind == Infrastructure::Unknown {
                self.in_doubt.push(sent);
            }
            return Ok(());
        }
        if let Err(error) = &answer
            && self.explains(error)?
        {
            // What must be read first could not be.
            return Ok(());
        }
        let Sent { mutation, who, after, .. } = sent;
        let expected = self.model.apply(mutation).now_or_never().expect("the model never waits");
        agrees::answers(&answer, &expected)?;
        if let Ok(receipt) = answer {
            self.learn(who, after, &receipt);
        }
        Ok(())
    }

    /// A mutation was taken. The receipt of an earlier call is nothing new.
    pub(super) fn learn(&mut self, who: u64, after: Vec<After>, receipt: &Receipt) {
        if receipt.pos > self.newest {
            self.newest = receipt.pos;
            self.newest_at = receipt.at;
            self.report.taken += 1;
            self.people.taken(who, after, receipt);
        }
    }

    /// Notes whether anything went wrong since the last open.
    pub(super) fn look_for_trouble(&mut self) {
        let state = self.machine.disk.state();
        let troubles = state.faults.troubles();
        self.troubled |= state.is_full() || state.is_off || state.is_harmed() || troubles > self.fired_at_open;
    }
}
