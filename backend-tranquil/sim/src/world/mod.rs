//! One run: a machine, an engine on it, people who use it, and a model that knows better.

mod actors;
mod engine;
mod lies;
mod reads;
mod restart;
mod writes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend_api::{Maintenance as _, Micros, Mutation, Pos, Snapshots as _};
use conformance::history::{self, After, Step};
use conformance::{ManualClock, Model, START};

use crate::disk::{Call, Crash, Fault, Faults, SimDisk, State, Survivors};
use crate::invariants::feed::Feed;
use crate::invariants::sequence::Ledger;
use crate::invariants::{Held, Violation, held, indexes, space};
use crate::plan::{Act, Plan};
use crate::rng::Rng;

use actors::Export;
pub use engine::{DIRECTORY, Engine, Machine, OPTIONS, Stuck};
use writes::{Flight, Lanes};

/// A mutation that was sent, by whom, and what they learn if it is taken.
#[derive(Clone)]
pub(crate) struct Sent {
    mutation: Mutation,
    who: u64,
    after: Vec<After>,
    /// The engine had stopped before it was sent.
    is_late: bool,
}

impl Sent {
    const fn new(mutation: Mutation, who: u64, after: Vec<After>) -> Self {
        Self { mutation, who, after, is_late: false }
    }

    /// True if it waits with the large ones.
    fn is_large(&self) -> bool {
        self.mutation.blocks.iter().map(|block| block.bytes().len()).sum::<usize>() > LARGE_BYTES
    }
}

/// Mutations of more bytes wait by themselves.
const LARGE_BYTES: usize = 256 << 10;

/// How much a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// All that happened, as one number.
    pub trace: u64,
    /// Mutations sent.
    pub sent: u64,
    /// Mutations taken.
    pub taken: u64,
    /// Mutations whose outcome was not known, and those of them that had happened.
    pub in_doubt: (u64, u64),
    /// Calls to the disk.
    pub calls: u64,
    /// What each was of those that may go wrong: not of the first open, nor while everything is compared.
    pub kinds: Vec<Call>,
    /// A crash or a fault that was planned for a call has come.
    pub has_happened: bool,
    /// Kills and power cuts.
    pub crashes: u64,
    /// Times the store was opened.
    pub opens: u64,
    /// Comparisons of everything.
    pub compared: u64,
    /// Events seen by those who follow.
    pub seen: u64,
    /// Times that damaged files were restored.
    pub healed: u64,
    /// Runs that ended because a disk that lied had lost the end of the log.
    pub older: u64,
    /// Faults that fired, by [`Fault`].
    pub fired: Vec<u64>,
}

/// A run.
pub struct World {
    machine: Machine,
    engine: Option<Engine>,
    model: Model,
    model_clock: Arc<ManualClock>,
    people: history::World,
    flights: VecDeque<Flight>,
    /// Answers that were heard and not looked at.
    lanes: Lanes,
    /// Sent, and nobody knows what became of it.
    in_doubt: Vec<Sent>,
    last: Option<Sent>,
    newest: Pos,
    /// The time of the newest one that was taken: the store's own never goes back.
    newest_at: Micros,
    ledger: Ledger,
    followers: Vec<u64>,
    feed: Feed,
    export: Option<Export>,
    /// What was planned for the next crash.
    crash: Option<(Crash, Vec<(u64, Crash)>)>,
    /// Something went wrong on the machine since the last open.
    troubled: bool,
    fired_at_open: u64,
    has_crashed: bool,
    /// Nothing but the planner refused anything of what is in doubt.
    is_whole: bool,
    /// The engine has said that it takes nothing any more.
    is_stopped: bool,
    /// A sweep of that time was begun and not ended.
    sweep_owed: Option<Micros>,
    rng: Rng,
    report: Report,
}

/// Runs a plan to its end.
///
/// # Errors
/// The first violation.
pub fn run(plan: &Plan) -> Held<Report> {
    let mut report = Report::default();
    match run_to_end(plan, &mut report) {
        Err(violation) if violation.is_over() => Ok(report),
        other => other,
    }
}

/// If it is over before its end, what it did until then is in the report that was given.
fn run_to_end(plan: &Plan, report: &mut Report) -> Held<Report> {
    let mut world = World::new(plan).map_err(|e| Violation { act: 0, ..e })?;
    for (i, (number, act)) in plan.acts.iter().enumerate() {
        world.reseed(plan.seed, *number);
        let acted = world.act(act).and_then(|()| world.between_acts());
        if acted.as_ref().is_err_and(Violation::is_over) {
            *report = world.report();
        }
        acted.map_err(|e| Violation { act: i, ..e })?;
        if plan.ends_after_crash && world.has_crashed {
            return world.compare().map(|()| world.report()).map_err(|e| Violation { act: i, ..e });
        }
    }
    if plan.ends_after_crash {
        return Ok(world.report());
    }
    world.reseed(plan.seed, 3);
    let ended = world.end();
    *report = world.report();
    ended.map(|()| report.clone()).map_err(|e| Violation { act: plan.acts.len(), ..e })
}

/// Runs a plan without what is compared at its end, closes the store or kills it, and gives the machine.
///
/// # Errors
/// The first violation.
pub fn run_to_machine(plan: &Plan, closes: bool) -> Held<Machine> {
    let mut world = World::new(plan)?;
    for (number, act) in &plan.acts {
        world.reseed(plan.seed, *number);
        world.act(act)?;
    }
    world.settle()?;
    if closes {
        world.engine().steps.close();
    }
    let machine = world.machine.clone();
    drop(world);
    machine.disk.set_between(None);
    machine.disk.state().restart(Crash::Kill);
    Ok(machine)
}

impl World {
    fn new(plan: &Plan) -> Held<Self> {
        let mut rng = Rng::of(plan.seed, 4);
        let mut state = State::new(Faults::swarm(&mut rng), Rng::of(plan.seed, 5));
        state.copies_on_write = plan.setup.copies_on_write;
        state.evicts = plan.setup.evicts;
        let clock = Arc::new(ManualClock::new(START));
        let machine = Machine {
            disk: SimDisk::new(state),
            clock,
            is_frozen: Arc::default(),
            setup: plan.setup.clone(),
            seed: plan.seed,
        };
        let model_clock = Arc::new(ManualClock::new(START));
        let model = Model::new(OPTIONS, Arc::clone(&model_clock) as _);
        let mut world = Self {
            machine,
            engine: None,
            model,
            model_clock,
            people: history::World::new(),
            flights: VecDeque::new(),
            lanes: Lanes::default(),
            in_doubt: Vec::new(),
            last: None,
            newest: Pos(0),
            newest_at: Micros(0),
            ledger: Ledger::default(),
            followers: Vec::new(),
            feed: Feed::default(),
            export: None,
            crash: None,
            troubled: false,
            fired_at_open: 0,
            has_crashed: false,
            is_whole: true,
            is_stopped: false,
            sweep_owed: None,
            rng,
            report: Report::default(),
        };
        let before = world.calm();
        world.open(&[])?;
        world.resume(before);
        Ok(world)
    }

    /// Each act has numbers of its own, so that leaving one out changes no other.
    fn reseed(&mut self, seed: u64, number: u64) {
        self.rng = Rng::of(seed, number);
        let mut state = self.disk().state();
        state.rng = Rng::of(seed, number ^ 1 << 32);
        state.trace.note(number);
    }

    const fn disk(&self) -> &SimDisk {
        &self.machine.disk
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the store is open but within a restart")
    }

    fn act(&mut self, act: &Act) -> Held {
        match act {
            Act::Story(step) => self.story(step)?,
            Act::Turns(turns) => {
                for _ in 0..*turns {
                    if !self.turn()? {
                        break;
                    }
                }
            }
            Act::Crash { after_calls, crash, again } => {
                self.crash = Some((*crash, again.clone()));
                let mut state = self.disk().state();
                state.crash_at = Some(state.counted + after_calls);
            }
            Act::Fault { after_calls, fault } => {
                let mut state = self.disk().state();
                state.faults.at = Some((state.counted + after_calls, *fault));
            }
            Act::Storm => self.disk().state().faults.is_on = true,
            Act::Calm => self.disk().state().faults.is_on = false,
            Act::Full(bytes) => {
                self.disk().state().free_bytes = Some(*bytes);
                self.troubled = true;
            }
            Act::Space => {
                // What the engine met until now may show later.
                self.look_for_trouble();
                self.disk().state().free_bytes = None;
            }
            Act::Jump(micros) => self.jump(*micros)?,
            Act::Frozen(is_frozen) => {
                if *is_frozen {
                    self.disk().state().faults.count(Fault::ClockFrozen, 1);
                }
                self.machine.is_frozen.store(*is_frozen, Ordering::SeqCst);
            }
            Act::LoseMetadata => self.lose_metadata()?,
            Act::Follow(back) => self.follow(*back)?,
            Act::Read(who, limit) => self.read(*who, *limit)?,
            Act::Leave(who) => {
                if !self.followers.is_empty() {
                    self.followers.swap_remove(*who as usize % self.followers.len());
                }
            }
            Act::Consume(limit) => self.consume(*limit)?,
            Act::Export(limit) => self.export(*limit)?,
            Act::SweepAmong(budget) => self.sweep_among(*budget)?,
            Act::Large(who, kib) => self.large(*who, *kib)?,
            Act::Peek(reads) => self.peek(*reads)?,
            Act::Check(repairs) => self.check(*repairs)?,
        }
        Ok(())
    }

    fn story(&mut self, step: &Step) -> Held {
        match step {
            Step::Apply { who, intents } => self.send(&[(*who, intents.clone())]),
            Step::ApplyMany { mutations } => self.send(mutations),
            Step::Retry => self.retry(),
            Step::ReuseKey => self.reuse_key(),
            Step::Advance(_) | Step::GoBack(_) if self.machine.is_frozen.load(Ordering::SeqCst) => Ok(()),
            Step::Advance(micros) => self.set_time(self.machine.now().0 + micros),
            Step::GoBack(micros) => self.set_time(self.machine.now().0 - micros),
            Step::Sweep(budget) => self.sweep(*budget),
            Step::Reopen => self.reopen(),
            Step::Checkpoint => self.checkpoint(),
            Step::Compare => self.compare(),
        }
    }

    fn jump(&mut self, micros: i64) -> Held {
        let fault = if micros < 0 { Fault::ClockBack } else { Fault::ClockAhead };
        self.disk().state().faults.count(fault, 1);
        self.set_time(self.machine.now().0.saturating_add_signed(micros).max(1 << 40))
    }

    fn set_time(&mut self, now: u64) -> Held {
        // The model takes a mutation at the time at which its answer is heard. What is planned already was planned at the
        // time that was; of several that were sent together the first may be taken before and the last after.
        self.engine().land();
        if self.disk().state().is_off {
            self.crashed()?;
        }
        self.collect()?;
        let is_several = |world: &Self| world.flights.iter().any(Flight::is_several) || !world.lanes.is_empty();
        if is_several(self) {
            self.settle()?;
        }
        if is_several(self) {
            return Ok(());
        }
        self.machine.clock.set(Micros(now));
        self.model_clock.set(Micros(now));
        Ok(())
    }

    /// A crash is noticed, and an engine that has stopped is not left so for long.
    fn between_acts(&mut self) -> Held {
        if self.disk().state().is_off {
            self.crashed()?;
        }
        if self.is_stopped && self.rng.one_in(3) {
            self.give_up()?;
        }
        Ok(())
    }

    /// The faults cease, and everything is as it should be.
    fn end(&mut self) -> Held {
        self.calm();
        self.compare()?;
        // What was read back after a failed sync and built upon must be on the disk, not in its cache only.
        self.ended(Crash::Power(Survivors::None));
        self.open(&[])?;
        self.compare()?;
        self.forget_everything()?;
        self.compare()?;
        self.reopen()?;
        self.compare()?;
        self.forget_everything()?;
        self.account_for_space()
    }

    /// A sweep when everything is due.
    fn forget_everything(&mut self) -> Held {
        let window = OPTIONS.history_window_micros + OPTIONS.event_retention_micros;
        let now = self.machine.now().0.max(self.newest_at.0);
        self.set_time(now + window + 1)?;
        self.sweep(1_000)
    }

    /// Nothing leaks.
    fn account_for_space(&mut self) -> Held {
        self.checkpoint()?;
        let stats = self.ask("stats", |engine| {
            let db = engine.db.clone();
            async move { db.stats().await }
        })?;
        let items = self.ask("snapshot", |engine| {
            let db = engine.db.clone();
            async move { held::items(db.snapshot().await?).await }
        })?;
        let state = self.disk().state();
        let files = state.files();
        space::figures(&stats, &files)?;
        space::files(&files)?;
        space::swept(&items)?;
        indexes::check(&items, state.keys(&Machine::metadata()).iter().map(|key| &key[..]))
    }

    fn report(&self) -> Report {
        let state = self.machine.disk.state();
        let mut report = self.report.clone();
        report.calls = state.calls;
        report.kinds.clone_from(&state.kinds);
        report.has_happened = self.has_crashed || state.faults.has_happened;
        report.fired = Fault::ALL.iter().map(|fault| state.faults.fired[*fault as usize]).collect();
        report.seen = self.ledger.seen() as u64;
        let mut trace = state.trace;
        for number in [report.sent, report.taken, report.crashes, report.opens, report.seen, self.newest.0] {
            trace.note(number);
        }
        report.trace = trace.value();
        report
    }
}
