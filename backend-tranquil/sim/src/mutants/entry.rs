//! A seeded bug as it is written down: one small text file.
//!
//! ```text
//! What is wrong, in one line.
//! caught by: sim --seeds 300
//! breaks: durable
//! file: backend-tranquil/src/log/writer.rs
//! <<< statement
//! what stands there, exactly once
//! ===
//! what the bug is
//! >>>
//! ```
//!
//! `statement` or `expression` says how the two are joined under a switch. A bug may have several places. `breaks` may be left
//! out: it names the invariant that tells of the bug in one of the runs, by the name of its file.

use std::path::{Path, PathBuf};

/// What is replaced, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The source file, from the workspace's root.
    pub file: String,
    /// An expression, else statements.
    pub is_expression: bool,
    /// What stands there.
    pub old: String,
    /// What the bug is.
    pub new: String,
}

/// What is expected to catch it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Catcher {
    /// The simulator with these arguments.
    Sim(Vec<String>),
    /// A test of the engine: file and filter.
    Test(String, Vec<String>),
    /// A kept story of the simulator, by name.
    Kept(String),
}

impl Catcher {
    /// Names of the sorts.
    pub const SORTS: [&str; 4] = ["seeds", "sweeps", "stories", "tests"];

    /// What sort of thing it is, by name.
    #[must_use]
    pub fn sort(&self) -> &'static str {
        let [seeds, sweeps, stories, tests] = Self::SORTS;
        match self {
            Self::Sim(arguments) if arguments.iter().any(|a| a == "--sweep") => sweeps,
            Self::Sim(_) => seeds,
            Self::Kept(_) => stories,
            Self::Test(..) => tests,
        }
    }
}

/// A seeded bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its file's name.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What is expected to catch it.
    pub catcher: Catcher,
    /// The invariant that tells of it.
    pub breaks: Option<String>,
    /// Where.
    pub places: Vec<Place>,
}

/// The folder of the seeded bugs.
#[must_use]
pub fn folder(workspace: &Path) -> PathBuf {
    workspace.join("backend-tranquil/sim/mutants")
}

/// All of them, by name.
///
/// # Errors
/// For a file that cannot be read or understood.
pub fn all(workspace: &Path) -> Result<Vec<Mutant>, String> {
    let folder = folder(workspace);
    let listed = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut out = Vec::new();
    for entry in listed {
        let path = entry.map_err(|e| e.to_string())?.path();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        out.push(parse(&name, &text).map_err(|e| format!("{name}: {e}"))?);
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

fn parse(name: &str, text: &str) -> Result<Mutant, String> {
    let mut lines = text.lines();
    let what = lines.next().filter(|line| !line.is_empty()).ok_or("the first line says what is wrong")?.to_owned();
    let (mut catcher, mut breaks) = (None, None);
    let mut file = None;
    let mut places = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(by) = line.strip_prefix("caught by: ") {
            catcher = Some(catcher_of(by)?);
        } else if let Some(invariant) = line.strip_prefix("breaks: ") {
            breaks = Some(invariant.to_owned());
        } else if let Some(path) = line.strip_prefix("file: ") {
            file = Some(path.to_owned());
        } else if let Some(kind) = line.strip_prefix("<<< ") {
            let is_expression = match kind {
                "expression" => true,
                "statement" => false,
                other => return Err(format!("{other}: expression or statement")),
            };
            let until = |end: &str, lines: &mut std::str::Lines<'_>| {
                lines.by_ref().take_while(|line| *line != end).collect::<Vec<_>>().join("\n")
            };
            let (old, new) = (until("===", &mut lines), until(">>>", &mut lines));
            let file = file.clone().ok_or("a file is named before its places")?;
            places.push(Place { file, is_expression, old, new });
        } else if !line.is_empty() {
            return Err(format!("not understood: {line}"));
        }
    }
    if places.is_empty() {
        return Err("it changes nothing".into());
    }
    let catcher = catcher.ok_or("nothing is to catch it")?;
    Ok(Mutant { name: name.to_owned(), what, catcher, breaks, places })
}

fn catcher_of(text: &str) -> Result<Catcher, String> {
    let mut words = text.split_whitespace().map(str::to_owned);
    match (words.next().as_deref(), words.next()) {
        (Some("sim"), Some(first)) => Ok(Catcher::Sim(std::iter::once(first).chain(words).collect())),
        (Some("test"), Some(file)) => Ok(Catcher::Test(file, words.collect())),
        (Some("kept"), Some(name)) => Ok(Catcher::Kept(name)),
        _ => Err(format!("{text}: sim ARGUMENTS, test FILE [FILTER] or kept NAME")),
    }
}
