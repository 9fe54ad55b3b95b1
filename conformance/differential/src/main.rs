//! `cargo differential`: random histories on the model and on each engine, until so many steps are done or two stores differ.
//!
//! A history is a seed and a number of steps; it begins with an empty store and ends with a sweep of everything. Every
//! answer is compared, and every so often all that can be read.

mod postgres;
mod tranquil;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use conformance::history::{Found, Summary, compare};
use conformance::{ModelFixture, Options};

use postgres::PostgresFixture;
use tranquil::TranquilFixture;

const USAGE: &str =
    "usage: cargo differential [--backend tranquil|postgres|both] [--steps N] [--seed S] [--history K] [--jobs J]
  --backend  the engine that is compared with the model (both)
  --steps    how many steps to do with each engine (1,000,000)
  --seed     the seed of the first history (1); the next has the next
  --history  steps of one history (250)
  --jobs     histories at a time (two for each core)";

const OPTIONS: Options =
    Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

/// What is compared with the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Tranquil,
    Postgres,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Tranquil => "tranquil",
            Self::Postgres => "postgres",
        }
    }

    /// Every other history of the embedded engine is run with small sizes.
    fn compare(self, seed: u64, steps: usize) -> Result<Summary, Box<Found>> {
        let model = || ModelFixture::new(OPTIONS);
        match self {
            Self::Tranquil => compare(model, || TranquilFixture::new(seed.is_multiple_of(2)), seed, steps),
            Self::Postgres => compare(model, PostgresFixture::default, seed, steps),
        }
    }
}

struct Arguments {
    engines: Vec<Engine>,
    steps: u64,
    seed: u64,
    history: usize,
    jobs: usize,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let engines = vec![Engine::Tranquil, Engine::Postgres];
    // Most of a history is waiting: for the disk, or for the server.
    let jobs = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let mut out = Arguments { engines, steps: 1_000_000, seed: 1, history: 250, jobs };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name}: a value is missing"))?;
        let number = || value.replace('_', "").parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--backend" => {
                out.engines = match value.as_str() {
                    "tranquil" => vec![Engine::Tranquil],
                    "postgres" => vec![Engine::Postgres],
                    "both" => vec![Engine::Tranquil, Engine::Postgres],
                    _ => return Err(format!("{name} {value}: tranquil, postgres or both")),
                }
            }
            "--steps" => out.steps = number()?,
            "--seed" => out.seed = number()?,
            "--history" => out.history = usize::try_from(number()?.max(1)).map_err(|e| e.to_string())?,
            "--jobs" => out.jobs = usize::try_from(number()?.clamp(1, 256)).map_err(|e| e.to_string())?,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(out)
}

fn main() -> ExitCode {
    let given = match arguments(std::env::args().skip(1)) {
        Ok(given) => given,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if given.engines.contains(&Engine::Postgres) && !postgres_fixture::available() {
        eprintln!("there is no Postgres to be had; `--backend tranquil` needs none");
        return ExitCode::from(2);
    }
    match histories(&given) {
        Ok(()) => ExitCode::SUCCESS,
        Err((engine, steps, found)) => {
            println!("\nmodel (left) and {} (right) differ\n{found}", engine.name());
            println!(
                "\nrepeat it with: cargo differential --backend {} --seed {} --steps {steps} --history {steps}",
                engine.name(),
                found.seed
            );
            ExitCode::FAILURE
        }
    }
}

/// What is done, and what was found first.
struct Progress {
    /// Histories that were begun.
    begun: u64,
    steps: u64,
    totals: Vec<Summary>,
    found: Option<(Engine, usize, Box<Found>)>,
    /// A store panicked: nobody begins another history.
    panicked: bool,
}

/// Tells the others of a panic.
struct Ending<'a>(&'a Mutex<Progress>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).panicked = true;
        }
    }
}

/// Several histories at a time, each with every engine in turn, so that a difference in either is seen early.
fn histories(given: &Arguments) -> Result<(), (Engine, usize, Box<Found>)> {
    let totals = vec![Summary::default(); given.engines.len()];
    let progress = Mutex::new(Progress { begun: 0, steps: 0, totals, found: None, panicked: false });
    std::thread::scope(|scope| {
        for _ in 0..given.jobs {
            scope.spawn(|| work(given, &progress));
        }
    });
    let Progress { steps, totals, found, .. } = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = found {
        return Err(found);
    }
    for (engine, Summary { sent, taken }) in given.engines.iter().zip(&totals) {
        let name = engine.name();
        println!("model and {name}: {steps} steps, {sent} mutations, {taken} of them taken: no difference");
    }
    Ok(())
}

/// One history after the other, until enough were begun or one has shown a difference.
fn work(given: &Arguments, progress: &Mutex<Progress>) {
    let _ending = Ending(progress);
    let progress = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let mut now = progress();
        let before = now.begun * given.history as u64;
        if before >= given.steps || now.found.is_some() || now.panicked {
            return;
        }
        let seed = given.seed + now.begun;
        now.begun += 1;
        drop(now);
        let steps = given.history.min(usize::try_from(given.steps - before).unwrap_or(given.history));
        for (i, engine) in given.engines.iter().enumerate() {
            let compared = engine.compare(seed, steps);
            let mut now = progress();
            match compared {
                Ok(summary) => {
                    now.totals[i].sent += summary.sent;
                    now.totals[i].taken += summary.taken;
                }
                Err(found) => {
                    now.found.get_or_insert((*engine, steps, found));
                    return;
                }
            }
        }
        let mut now = progress();
        now.steps += steps as u64;
        tell(now.steps, given.steps, seed);
    }
}

/// One line that is written over, on a terminal only.
fn tell(done: u64, of: u64, seed: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if done < of { "\r" } else { "\r\x1b[K" };
        // A terminal that is gone is nothing to stop for.
        let _ = write!(out, "\r\x1b[Kseed {seed}: {done} of {of} steps, no difference{end}").and_then(|()| out.flush());
    }
}
