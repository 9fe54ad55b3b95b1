//! The mutation gate: bugs that are put into the engine on purpose, and what catches each.

mod build;
mod entry;

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
    /// Nothing noticed.
    Survived,
}

/// The root of this workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The gate: builds all bugs, shows that nothing is caught while none is switched on, then tries each whose name has the
/// filter in it.
///
/// # Errors
/// If it cannot be built, or if one no longer applies.
pub fn gate(filter: &str, tell: impl Fn(&Mutant, &Fate, u64)) -> Result<(usize, usize), String> {
    let workspace = workspace().canonicalize().map_err(|e| e.to_string())?;
    let mutants = all(&workspace)?;
    let changed = sources(&workspace, &mutants).map_err(|wrong| wrong.join("\n"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let copy = target.join("mutants");
    build::copy(&workspace, &copy, &changed)?;
    let gate = Gate { copy, target };
    gate.cargo(&["build", "--package", "tranquil-sim"])?;
    gate.take_sim()?;
    gate.sound()?;
    let (mut caught, mut tried) = (0, 0);
    for (n, mutant) in mutants.iter().enumerate().filter(|(_, mutant)| mutant.name.contains(filter)) {
        let begun = Watch::start();
        let fate = gate.fate(n, &mutant.catcher)?;
        tell(mutant, &fate, begun.elapsed().as_secs());
        caught += usize::from(fate != Fate::Survived);
        tried += 1;
    }
    Ok((caught, tried))
}

struct Gate {
    copy: PathBuf,
    target: PathBuf,
}

impl Gate {
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target);
        command.env_remove(build::SWITCH).stdin(Stdio::null());
        command
    }

    fn cargo(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command(Path::new("cargo"), arguments);
        let done = command.output().map_err(|e| format!("cargo: {e}"))?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    /// The simulator with all bugs, not to be taken for the one without.
    fn sim(&self) -> PathBuf {
        self.copy.join("tranquil-sim-with-bugs")
    }

    fn take_sim(&self) -> Result<(), String> {
        let built = self.target.join("debug").join(format!("tranquil-sim{}", std::env::consts::EXE_SUFFIX));
        std::fs::copy(&built, self.sim()).map(|_| ()).map_err(|e| format!("{}: {e}", built.display()))
    }

    /// With no bug switched on nothing is caught.
    fn sound(&self) -> Result<(), String> {
        let run = self
            .command(&self.sim(), &["--seeds", "20", "--ledger", "ledger-with-bugs.txt"])
            .output()
            .map_err(|e| e.to_string())?;
        if run.status.success() {
            Ok(())
        } else {
            Err(format!("without a bug: {}", String::from_utf8_lossy(&run.stdout)))
        }
    }

    fn fate(&self, n: usize, catcher: &Catcher) -> Result<Fate, String> {
        let mut command = match catcher {
            Catcher::Sim(arguments) => {
                let mut given: Vec<&str> = arguments.iter().map(String::as_str).collect();
                // A run with a bug in it is no run of this commit.
                given.extend(["--first-failure", "--ledger", "ledger-with-bugs.txt"]);
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
        let done = command.env(build::SWITCH, n.to_string()).output().map_err(|e| e.to_string())?;
        if done.status.success() {
            return Ok(Fate::Survived);
        }
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        if text.contains("could not compile") || text.contains("no test target") {
            return Err(text);
        }
        let said = text
            .lines()
            .find(|line| ["FAILS", "failed", "FAILED", "call ", "panicked"].iter().any(|w| line.contains(w)));
        Ok(Fate::Caught(said.unwrap_or("it ended in failure").chars().take(110).collect()))
    }
}
