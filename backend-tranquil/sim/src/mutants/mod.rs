//! The mutation gate: bugs that are put into the engine on purpose, and what catches each.

mod build;
mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::watch::Watch;

pub use build::sources;
pub use entry::{Catcher, Mutant, Place, all};

/// What became of a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Caught; the first thing that was said of it.
    Caught(String),
    /// Caught, but the invariant that it breaks told of it in no run.
    ByAnother(String),
    /// Nothing noticed.
    Survived,
}

/// The root of this workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// How many were tried, caught, and by what sort of thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bugs tried.
    pub tried: usize,
    /// Those that nothing noticed, or not what was to notice them.
    pub survived: usize,
    /// Those that were caught, by [`Catcher::sort`].
    pub caught: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// All that were caught.
    #[must_use]
    pub const fn caught(&self) -> usize {
        self.tried - self.survived
    }
}

/// The gate: builds all bugs, then tries each whose name has the filter in it. What catches one is shown to find nothing
/// while no bug is switched on.
///
/// # Errors
/// If it cannot be built, if a bug no longer applies, or if what catches it fails without it as well.
pub fn gate(filter: &str, tell: impl Fn(&Mutant, &Fate, u64)) -> Result<Tally, String> {
    let workspace = workspace().canonicalize().map_err(|e| e.to_string())?;
    let mutants = all(&workspace)?;
    let changed = sources(&workspace, &mutants).map_err(|wrong| wrong.join("\n"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let copy = target.join("mutants");
    build::copy(&workspace, &copy, &changed)?;
    let mut gate = Gate { copy, target, sound: BTreeSet::new() };
    gate.build()?;
    let mut tally = Tally::default();
    for (n, mutant) in mutants.iter().enumerate().filter(|(_, mutant)| mutant.name.contains(filter)) {
        let begun = Watch::start();
        let fate = gate.fate(n, mutant).map_err(|e| format!("{}: {e}", mutant.name))?;
        tell(mutant, &fate, begun.elapsed().as_secs());
        tally.tried += 1;
        match fate {
            Fate::Caught(_) => *tally.caught.entry(mutant.catcher.sort()).or_default() += 1,
            Fate::ByAnother(_) | Fate::Survived => tally.survived += 1,
        }
    }
    Ok(tally)
}

struct Gate {
    copy: PathBuf,
    target: PathBuf,
    /// What was shown to find nothing while no bug is switched on.
    sound: BTreeSet<Catcher>,
}

impl Gate {
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target);
        command.env_remove(build::SWITCH).stdin(Stdio::null());
        command
    }

    /// The simulator with all bugs, moved to where it is not taken for the one without.
    fn build(&self) -> Result<(), String> {
        let arguments = ["build", "--package", "tranquil-sim"];
        let done = self.command(Path::new("cargo"), &arguments).output().map_err(|e| format!("cargo: {e}"))?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        let built = self.target.join("debug").join(format!("tranquil-sim{}", std::env::consts::EXE_SUFFIX));
        std::fs::rename(&built, self.sim()).map_err(|e| format!("{}: {e}", built.display()))
    }

    fn sim(&self) -> PathBuf {
        self.copy.join("tranquil-sim-with-bugs")
    }

    fn fate(&mut self, n: usize, mutant: &Mutant) -> Result<Fate, String> {
        let (done, text) = self.run(&mutant.catcher, Some(n), mutant.breaks.is_some())?;
        if done {
            return Ok(Fate::Survived);
        }
        self.is_due_to_the_bug(&mutant.catcher, &text)?;
        let said = |line: &str| line.chars().take(110).collect();
        if let Some(invariant) = &mutant.breaks {
            let wanted = format!(" FAILS: {invariant} (act ");
            if let Some(line) = text.lines().find(|line| line.contains(&wanted)) {
                return Ok(Fate::Caught(said(line)));
            }
        }
        let words = ["FAILS", "failed", "FAILED", "call ", "panicked"];
        let line = text.lines().find(|line| words.iter().any(|word| line.contains(word)));
        let line = said(line.unwrap_or("it ended in failure"));
        Ok(if mutant.breaks.is_some() { Fate::ByAnother(line) } else { Fate::Caught(line) })
    }

    /// Runs what is to catch a bug, with it or without any, to its first failure or its end. True if nothing was found; and what
    /// was said.
    fn run(&self, catcher: &Catcher, bug: Option<usize>, to_its_end: bool) -> Result<(bool, String), String> {
        let mut command = match catcher {
            Catcher::Sim(arguments) => {
                let mut given: Vec<&str> = arguments.iter().map(String::as_str).collect();
                // A run with a bug in it is no run of this commit.
                given.extend(["--ledger", "ledger-with-bugs.txt"]);
                if !to_its_end {
                    given.push("--first-failure");
                }
                self.command(&self.sim(), &given)
            }
            Catcher::Test(file, filter) => {
                let mut given = vec!["test", "--package", "backend-tranquil", "--test", file];
                given.extend(filter.iter().map(String::as_str));
                self.command(Path::new("cargo"), &given)
            }
            Catcher::Kept(name) => {
                let given = ["test", "--package", "tranquil-sim", "--test", "kept", name];
                self.command(Path::new("cargo"), &given)
            }
        };
        if let Some(n) = bug {
            command.env(build::SWITCH, n.to_string());
        }
        let done = command.output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        let is_built = !["could not compile", "no test target", "running 0 tests"].iter().any(|w| text.contains(w));
        if is_built { Ok((done.status.success(), text)) } else { Err(text) }
    }

    /// What caught a bug finds nothing without it: of many seeds the one that failed, of everything else all.
    fn is_due_to_the_bug(&mut self, catcher: &Catcher, text: &str) -> Result<(), String> {
        let seeds =
            text.lines().filter_map(|line| line.strip_prefix("seed ")?.split_once(" FAILS")).map(|(seed, _)| seed);
        let mut without: Vec<Catcher> =
            seeds.map(|seed| Catcher::Sim(vec!["--seed".to_owned(), seed.to_owned()])).collect();
        if without.is_empty() {
            without.push(catcher.clone());
        }
        for one in without {
            if !self.sound.contains(&one) {
                let (is_good, text) = self.run(&one, None, false)?;
                if !is_good {
                    return Err(format!("{one:?} fails without any bug: {text}"));
                }
                self.sound.insert(one);
            }
        }
        Ok(())
    }
}
