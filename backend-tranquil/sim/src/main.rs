//! `cargo sim`: runs the simulator.

use std::process::ExitCode;

use tranquil_sim::disk::Fault;
use tranquil_sim::runs::{STEPS, Total, outcome, seeds};
use tranquil_sim::{Plan, shrink, sweep};

const USAGE: &str = "usage: cargo sim --seeds N [--first S] [--steps K]
       cargo sim --seed S [--steps K] [--acts N,N,...]
       cargo sim --sweep crash|recovery|fault|rot|all [--density D]   (every D-th place)";

#[derive(Default)]
struct Arguments {
    seeds: Option<u64>,
    first: u64,
    seed: Option<u64>,
    steps: Option<usize>,
    acts: Option<Vec<u64>>,
    sweep: Option<String>,
    density: u64,
}

fn arguments() -> Result<Arguments, String> {
    let mut out = Arguments { first: 1, density: 1, ..Arguments::default() };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name}: a value is missing"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--seeds" => out.seeds = Some(number()?),
            "--first" => out.first = number()?,
            "--seed" => out.seed = Some(number()?),
            "--steps" => out.steps = Some(number()? as usize),
            "--sweep" => out.sweep = Some(value),
            "--density" => out.density = number()?.max(1),
            "--acts" => {
                let acts: Result<_, _> = value.split(',').filter(|n| !n.is_empty()).map(str::parse).collect();
                out.acts = Some(acts.map_err(|e| format!("{name} {value}: {e}"))?);
            }
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(out)
}

fn main() -> ExitCode {
    let given = match arguments() {
        Ok(given) => given,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic is told as the violation that it is.
    std::panic::set_hook(Box::new(|_| {}));
    let steps = given.steps.unwrap_or(STEPS);
    match (given.seed, given.seeds) {
        (None, None) if given.sweep.is_some() => sweeps(given.sweep.as_deref().unwrap_or_default(), given.density),
        (Some(seed), None) => one(seed, steps, given.acts.as_deref()),
        (None, Some(count)) => many(given.first, count, steps),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64, steps: usize, acts: Option<&[u64]>) -> ExitCode {
    let whole = Plan::of(seed, steps);
    let plan = acts.map_or_else(|| whole.clone(), |acts| shrink::only(&whole, acts));
    match outcome(&plan) {
        Ok(report) => {
            println!("{report:?}");
            println!("seed {seed}: trace {:016x}", report.trace);
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("seed {seed}: {violation}");
            if acts.is_some() {
                return ExitCode::FAILURE;
            }
            let (shrunk, last) = shrink::shrink(&plan, violation, |plan| outcome(plan).err());
            println!("shrunk to {} acts: {last}\n{:?}", shrunk.acts.len(), shrunk.setup);
            for (number, act) in &shrunk.acts {
                println!("  {number}: {act:?}");
            }
            println!("replay the short plan: cargo sim --seed {seed} --steps {steps} --acts {}", shrink::acts(&shrunk));
            ExitCode::FAILURE
        }
    }
}

fn many(first: u64, count: u64, steps: usize) -> ExitCode {
    let total = seeds(first, count, steps);
    tell(&total);
    for (seed, violation) in &total.failures {
        let text: String = violation.to_string().chars().take(600).collect();
        println!("seed {seed} FAILS: {text}");
        println!("  replay and shrink: cargo sim --seed {seed} --steps {steps}   (commit {})", commit());
    }
    let unfired = total.unfired();
    // A few runs cannot have had everything.
    let is_unfired = total.runs >= 100 && !unfired.is_empty();
    if is_unfired {
        println!("never fired: {:?}", unfired.iter().map(|f| f.name()).collect::<Vec<_>>());
    }
    println!("{} seeds: trace {:016x}", total.runs, total.sum.trace);
    if total.failures.is_empty() && !is_unfired { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweeps(name: &str, density: u64) -> ExitCode {
    let names = if name == "all" { sweep::NAMES.to_vec() } else { vec![name] };
    let mut failed = false;
    for name in names {
        let swept = match sweep::sweep(name, density) {
            Ok(swept) => swept,
            Err(e) => {
                eprintln!("{e}");
                return ExitCode::from(2);
            }
        };
        println!("sweep {name}: {} tried, {} failed {:?}", swept.tried, swept.failures.len(), swept.ends);
        swept.failures.iter().for_each(|failure| println!("  {failure}"));
        failed |= !swept.failures.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tell(total: &Total) {
    let sum = &total.sum;
    println!("{} runs, {} mutations sent, {} taken, {} calls to the disk", total.runs, sum.sent, sum.taken, sum.calls);
    println!("{} crashes and restarts, {} opens, {} comparisons of everything", sum.crashes, sum.opens, sum.compared);
    println!(
        "{} unknown outcomes, of which {} had happened; {} events followed",
        sum.in_doubt.0, sum.in_doubt.1, sum.seen
    );
    println!("{} times files were restored, {} runs ended older by a lie", sum.healed, sum.older);
    for fault in Fault::ALL {
        println!("  {:>8}  {}", sum.fired.get(*fault as usize).copied().unwrap_or(0), fault.name());
    }
}

/// The commit of the sources, as far as git tells.
fn commit() -> String {
    let asked = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_else(|_| "unknown".into())
}
