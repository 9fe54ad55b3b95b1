//! One history on two stores.

use std::fmt;
use std::sync::Arc;

use backend_api::{Backend, Error, Micros, Mutation, Pos, Reason, Receipt, Result};

use super::compare::{Whom, everything};
use super::step::{Intent, Step};
use super::world::{After, World};
use crate::context::START;
use crate::fixture::Fixture;

/// Where two stores differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// After which step of the history; its length if it was after the last.
    pub step: usize,
    /// In what.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after step {}: {}", self.step, self.what)
    }
}

/// Far more steps of a sweep than a history leaves entries.
const SWEEP_STEPS_MAX: u64 = 100_000;

struct Run<A, B> {
    fixtures: (A, B),
    stores: (Arc<dyn Backend>, Arc<dyn Backend>),
    now: Micros,
    world: World,
    /// The newest mutation that was sent by itself, with what its sender learns if it is taken.
    last: Option<(Mutation, u64, Vec<After>)>,
    newest: Pos,
    /// Comparisons so far, if they are of one person after the other.
    turns: Option<usize>,
    summary: Summary,
}

/// How much a history did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Mutations that were sent.
    pub sent: u64,
    /// Of them, those that were taken.
    pub taken: u64,
}

/// Runs a history on two stores; what the first has taken decides what is sent next. Comparisons within it ask of one person
/// after the other if `in_turn`, else of everybody as the last ones do.
///
/// # Errors
/// The first difference.
///
/// # Panics
/// If the two are not set up alike.
pub async fn run<A: Fixture, B: Fixture>(a: A, b: B, history: &[Step], in_turn: bool) -> Result<Summary, Difference> {
    assert_eq!(a.options(), b.options(), "two stores that are set up alike");
    a.set_time(START);
    b.set_time(START);
    let stores = (a.open().await, b.open().await);
    let (world, summary) = (World::new(), Summary::default());
    let mut run = Run {
        fixtures: (a, b),
        stores,
        now: START,
        world,
        last: None,
        newest: Pos(0),
        turns: in_turn.then_some(0),
        summary,
    };
    for (i, step) in history.iter().enumerate() {
        run.step(step).await.map_err(|what| Difference { step: i, what })?;
    }
    run.end().await.map_err(|what| Difference { step: history.len(), what })?;
    Ok(run.summary)
}

impl<A: Fixture, B: Fixture> Run<A, B> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Apply { who, intents } => {
                let (mutation, after) = self.world.mutation(*who, intents, self.now);
                self.apply(mutation, *who, after).await?;
            }
            Step::ApplyMany { mutations } => self.apply_many(mutations).await?,
            Step::Retry => {
                if let Some((last, who, after)) = self.last.clone() {
                    self.apply(last, who, after).await?;
                }
            }
            Step::ReuseKey => {
                if let Some((last, who, _)) = self.last.clone() {
                    let (other, after) = self.world.mutation(who, &[Intent::Account, Intent::PutBlob(0)], self.now);
                    self.apply(Mutation { key: last.key, ..other }, who, after).await?;
                }
            }
            Step::Advance(micros) => self.set_time(self.now.0 + micros),
            Step::GoBack(micros) => self.set_time(self.now.0 - micros),
            Step::Sweep(budget) => self.sweep(*budget).await?,
            Step::Reopen => self.reopen().await,
            Step::Checkpoint => {
                same("checkpoint", self.stores.0.checkpoint().await, self.stores.1.checkpoint().await)?;
            }
            Step::Compare => self.compare_in_turn().await?,
        }
        Ok(())
    }

    async fn apply(&mut self, mutation: Mutation, who: u64, after: Vec<After>) -> Result<(), String> {
        self.last = Some((mutation.clone(), who, after.clone()));
        let (a, b) = (self.stores.0.apply(mutation.clone()).await, self.stores.1.apply(mutation).await);
        same_answers(&a, &b)?;
        self.learn(who, after, a);
        Ok(())
    }

    /// A later one is made as if the earlier ones of the batch had not been sent; they may well be refused.
    async fn apply_many(&mut self, wanted: &[(u64, Vec<Intent>)]) -> Result<(), String> {
        let mut mutations = Vec::new();
        let mut afters = Vec::new();
        for (who, intents) in wanted {
            let (mutation, after) = self.world.mutation(*who, intents, self.now);
            mutations.push(mutation);
            afters.push((*who, after));
        }
        let a = self.stores.0.apply_many(mutations.clone()).await;
        let b = self.stores.1.apply_many(mutations).await;
        if a.len() != afters.len() || b.len() != afters.len() {
            return Err(format!("{} and {} answers to {} mutations", a.len(), b.len(), afters.len()));
        }
        for ((a, b), (who, after)) in a.into_iter().zip(b).zip(afters) {
            same_answers(&a, &b)?;
            self.learn(who, after, a);
        }
        Ok(())
    }

    fn learn(&mut self, who: u64, after: Vec<After>, answer: Result<Receipt>) {
        self.summary.sent += 1;
        // The receipt of an earlier call is nothing new.
        if let Ok(receipt) = answer
            && receipt.pos > self.newest
        {
            self.newest = receipt.pos;
            self.summary.taken += 1;
            self.world.taken(who, after, &receipt);
        }
    }

    /// Both are swept to the end: where they stand in between is their own affair.
    async fn sweep(&mut self, budget: usize) -> Result<(), String> {
        for store in [&self.stores.0, &self.stores.1] {
            let mut steps = 0;
            loop {
                steps += 1;
                if steps > SWEEP_STEPS_MAX {
                    return Err(format!("a sweep of {budget} entries at a time does not end"));
                }
                let report = store.sweep(budget).await.map_err(|e| format!("sweep: {e}"))?;
                let forgotten = report.blocks + report.entries + report.rows + report.events;
                if forgotten > budget as u64 {
                    return Err(format!("a sweep of {budget} entries forgot {forgotten}"));
                }
                if report.done {
                    break;
                }
                if forgotten == 0 {
                    return Err("a sweep is not done and forgets nothing".into());
                }
            }
        }
        Ok(())
    }

    async fn reopen(&mut self) {
        let (a, b) = self.stores.clone();
        self.stores = (self.fixtures.0.reopen(a).await, self.fixtures.1.reopen(b).await);
    }

    async fn compare(&self, whom: Whom) -> Result<(), String> {
        everything(&*self.stores.0, &*self.stores.1, &self.world, whom).await
    }

    async fn compare_in_turn(&mut self) -> Result<(), String> {
        let whom = self.turns.map_or(Whom::All, Whom::InTurn);
        self.turns = self.turns.map(|turns| turns + 1);
        self.compare(whom).await
    }

    /// All that was left behind goes, and what stays is the same.
    async fn end(&mut self) -> Result<(), String> {
        self.compare(Whom::All).await?;
        self.reopen().await;
        self.compare_in_turn().await?;
        let options = self.fixtures.0.options();
        self.set_time(self.now.0 + options.history_window_micros + options.event_retention_micros + 1);
        self.sweep(1_000).await?;
        self.compare(Whom::All).await?;
        self.reopen().await;
        self.compare_in_turn().await?;
        let _ = (self.stores.0.close().await, self.stores.1.close().await);
        Ok(())
    }

    fn set_time(&mut self, now: u64) {
        self.now = Micros(now);
        self.fixtures.0.set_time(self.now);
        self.fixtures.1.set_time(self.now);
    }
}

fn same_answers(a: &Result<Receipt>, b: &Result<Receipt>) -> Result<(), String> {
    let reasons = (a.as_ref().map_err(Error::reason), b.as_ref().map_err(Error::reason));
    if reasons.0 == reasons.1 {
        return Ok(());
    }
    Err(format!("a mutation was answered\n  left:  {a:?}\n  right: {b:?}"))
}

/// Compares two answers, of errors the reasons.
pub(super) fn same<T: PartialEq + fmt::Debug>(
    what: impl fmt::Display,
    a: Result<T>,
    b: Result<T>,
) -> Result<(), String> {
    let reasons: (Result<&T, Reason>, Result<&T, Reason>) =
        (a.as_ref().map_err(Error::reason), b.as_ref().map_err(Error::reason));
    if reasons.0 == reasons.1 {
        return Ok(());
    }
    Err(format!("{what}\n  left:  {a:?}\n  right: {b:?}"))
}
