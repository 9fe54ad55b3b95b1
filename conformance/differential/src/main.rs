//! `cargo differential`: random histories on the model and on each engine, until so many steps are done or two stores differ.
//!
//! A history is a seed and a number of steps; it begins with an empty store and ends with a sweep of everything. Every
//! answer is compared, and every so often all that can be read.

mod postgres;
mod tranquil;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use conformance::history::{Found, Summary, compare};
use conformance::{ModelFixture, Options};

use postgres::PostgresFixture;
use tranquil::TranquilFixture;

const USAGE: &str = "usage: cargo differential [--backend tranquil|postgres|both] [--steps N] [--seed S] [--history K]
  --backend  the engine that is compared with the model (both)
  --steps    how many steps to do with each engine (1,000,000)
  --seed     the seed of the first history (1); the next has the next
  --history  steps of one history (250)";

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
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut out =
        Arguments { engines: vec![Engine::Tranquil, Engine::Postgres], steps: 1_000_000, seed: 1, history: 250 };
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

/// Histories of each engine in turn, so that a difference in either is seen early.
fn histories(given: &Arguments) -> Result<(), (Engine, usize, Box<Found>)> {
    let mut totals = vec![Summary::default(); given.engines.len()];
    let (mut done, mut seed) = (0, given.seed);
    while done < given.steps {
        let steps = given.history.min(usize::try_from(given.steps - done).unwrap_or(given.history));
        for (engine, total) in given.engines.iter().zip(&mut totals) {
            let summary = engine.compare(seed, steps).map_err(|found| (*engine, steps, found))?;
            total.sent += summary.sent;
            total.taken += summary.taken;
        }
        done += steps as u64;
        seed += 1;
        progress(done, given.steps, seed - 1);
    }
    for (engine, total) in given.engines.iter().zip(&totals) {
        let (name, Summary { sent, taken }) = (engine.name(), total);
        println!("model and {name}: {done} steps, {sent} mutations, {taken} of them taken: no difference");
    }
    Ok(())
}

/// One line that is written over, on a terminal only.
fn progress(done: u64, of: u64, seed: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if done < of { "\r" } else { "\r\x1b[K" };
        // A terminal that is gone is nothing to stop for.
        let _ = write!(out, "\r\x1b[Kseed {seed}: {done} of {of} steps, no difference{end}").and_then(|()| out.flush());
    }
}
