//! `cargo sim`: runs the simulator.

mod told;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use tranquil_sim::ledger::{self, Bounds};
use tranquil_sim::runs::{FAILURES_MAX, Sort, Total, outcome, seeds};
use tranquil_sim::watch::Watch;
use tranquil_sim::{mutants, report, shrink, sweep};

/// A run is made of small pieces that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cargo sim [--busy] --seeds N [--first S] [--steps K]
       cargo sim [--busy] --seed S [--steps K] [--acts N,N,...]   (busy: thousands of commits a run)
       cargo sim --sweep crash|recovery|fault|rot|all [--density D]   (every D-th place)
       cargo sim --long [--minutes M]    (a release: see the README; goes on where it stopped)
       cargo sim --mutants [FILTER]      (every bug that is put in on purpose is caught)
       cargo sim --report                (writes docs/reliability.md from what was run)
with --first-failure it ends there; what ran is noted in target/sim-ledger.txt, or the file of --ledger";

#[derive(Default)]
struct Arguments {
    busy: bool,
    seeds: Option<u64>,
    first: u64,
    seed: Option<u64>,
    steps: Option<usize>,
    acts: Option<Vec<u64>>,
    sweep: Option<String>,
    density: u64,
    long: bool,
    minutes: Option<u64>,
    mutants: Option<String>,
    report: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut out = Arguments { first: 1, density: 1, ..Arguments::default() };
    let mut given = std::env::args().skip(1).peekable();
    while let Some(name) = given.next() {
        match name.as_str() {
            "--long" => out.long = true,
            "--report" => out.report = true,
            "--busy" => out.busy = true,
            "--first-failure" => FAILURES_MAX.store(1, Ordering::SeqCst),
            "--mutants" => out.mutants = Some(given.next_if(|next| !next.starts_with("--")).unwrap_or_default()),
            name => {
                let value = given.next().ok_or_else(|| format!("{name}: a value is missing"))?;
                out.set(name, value)?;
            }
        }
    }
    Ok(out)
}

impl Arguments {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name {
            "--seeds" => self.seeds = Some(number()?),
            "--first" => self.first = number()?,
            "--seed" => self.seed = Some(number()?),
            "--steps" => self.steps = Some(number()? as usize),
            "--sweep" => self.sweep = Some(value),
            "--density" => self.density = number()?.max(1),
            "--minutes" => self.minutes = Some(number()?),
            "--ledger" => ledger::set_path(value),
            "--acts" => {
                let acts: Result<_, _> = value.split(',').filter(|n| !n.is_empty()).map(str::parse).collect();
                self.acts = Some(acts.map_err(|e| format!("{name} {value}: {e}"))?);
            }
            _ => return Err(format!("{name} is not known")),
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let done = arguments().and_then(|given| run(&given));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// True if nothing was found.
fn run(given: &Arguments) -> Result<bool, String> {
    // A panic is told as the violation that it is.
    std::panic::set_hook(Box::new(|_| {}));
    let sort = if given.busy { Sort::Busy } else { Sort::Mixed };
    let steps = given.steps.unwrap_or(sort.steps());
    if let Some(seed) = given.seed {
        return Ok(one(sort, seed, steps, given.acts.as_deref()));
    }
    if let Some(count) = given.seeds {
        return many(sort, given.first, count, steps);
    }
    if let Some(name) = &given.sweep {
        let names = if name == "all" { sweep::NAMES.to_vec() } else { vec![name.as_str()] };
        return names.into_iter().try_fold(true, |is_good, name| Ok(one_sweep(name, given.density)? && is_good));
    }
    if given.long {
        return long(given.minutes);
    }
    if let Some(filter) = &given.mutants {
        return gate(filter);
    }
    if given.report { report::report().map(|()| true) } else { Err("nothing to do".into()) }
}

fn one(sort: Sort, seed: u64, steps: usize, acts: Option<&[u64]>) -> bool {
    let whole = sort.plan(seed, steps);
    let plan = acts.map_or_else(|| whole.clone(), |acts| shrink::only(&whole, acts));
    let begun = Watch::start();
    let violation = match outcome(&plan) {
        Ok(report) => {
            let (mut total, trace) = (Total::new(sort), report.trace);
            total.add(seed, Ok(report));
            told::what_was_done(&total, begun.elapsed());
            println!("seed {seed}: trace {trace:016x}");
            return true;
        }
        Err(violation) => violation,
    };
    println!("seed {seed}: {violation}");
    if acts.is_none() {
        let (shrunk, last) = shrink::shrink(&plan, violation, |plan| outcome(plan).err());
        println!("shrunk to {} acts: {last}\n{:?}", shrunk.acts.len(), shrunk.setup);
        for (number, act) in &shrunk.acts {
            println!("  {number}: {act:?}");
        }
        let (busy, acts) = (sort.words().1, shrink::acts(&shrunk));
        println!("replay the short plan: cargo sim{busy} --seed {seed} --steps {steps} --acts {acts}");
    }
    false
}

fn many(sort: Sort, first: u64, count: u64, steps: usize) -> Result<bool, String> {
    let begun = Watch::start();
    let total = seeds(sort, first, count, steps);
    told::total(&total, steps, begun.elapsed());
    ledger::note_seeds(first, &total, begun.elapsed())?;
    Ok(total.failures.is_empty() && !total.lacks_faults())
}

fn one_sweep(name: &str, density: u64) -> Result<bool, String> {
    let swept = sweep::sweep(name, density, None)?;
    println!("sweep {name}: {} tried, {} failed {:?}", swept.tried, swept.failures.len(), swept.ends);
    told::files(&swept);
    swept.failures.iter().for_each(|failure| println!("  {failure}"));
    ledger::note_sweep(name, density, &swept)?;
    Ok(swept.failures.is_empty())
}

/// What a release runs, as far as the time goes; the next call goes on from there.
fn long(minutes: Option<u64>) -> Result<bool, String> {
    let bounds = Bounds::new(minutes);
    let mut is_good = true;
    while let Some((sort, first, count)) = bounds.next_seeds()? {
        is_good &= many(sort, first, count, sort.steps())?;
    }
    while let Some((name, part)) = bounds.next_sweep()? {
        let swept = sweep::sweep(name, 1, Some(part))?;
        println!("sweep {name} {part:?}: {} tried, {} failed", swept.tried, swept.failures.len());
        swept.failures.iter().for_each(|failure| println!("  {failure}"));
        ledger::note_part(name, part, &swept)?;
        is_good &= swept.failures.is_empty();
    }
    Ok(is_good)
}

fn gate(filter: &str) -> Result<bool, String> {
    let begun = Watch::start();
    let tally = mutants::gate(filter, |mutant, fate, seconds| match fate {
        mutants::Fate::Caught(by) => println!("caught    {:<40} {seconds:>4} s  {by}", mutant.name),
        mutants::Fate::ByAnother(by) => println!("ELSEWHERE {:<40} {seconds:>4} s  {by}", mutant.name),
        mutants::Fate::Survived => println!("SURVIVED  {:<40} {seconds:>4} s  {}", mutant.name, mutant.what),
    })?;
    println!(
        "{} of {} are caught, {:?}, in {} s",
        tally.caught(),
        tally.tried,
        tally.caught,
        begun.elapsed().as_secs()
    );
    if filter.is_empty() {
        ledger::note_mutants(&tally, begun.elapsed())?;
    }
    Ok(tally.survived == 0)
}
