//! All seeded bugs at once in a copy of the workspace, each behind a switch that the environment throws: a build takes
//! longer than what catches a bug.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::entry::{Mutant, Place};

/// The variable that says which bug is switched on, by its number; none if it is not set. The module below reads it.
pub const SWITCH: &str = "TRANQUIL_MUTANT";

const MODULE: &str = r#"//! Which seeded bug is switched on.
use std::sync::OnceLock;
static ON: OnceLock<Option<u32>> = OnceLock::new();
pub fn is(n: u32) -> bool {
    *ON.get_or_init(|| std::env::var("TRANQUIL_MUTANT").ok()?.parse().ok()) == Some(n)
}
"#;

/// The sources with all bugs, by file.
///
/// # Errors
/// For each place that is not there exactly once, or overlaps another.
pub fn sources(workspace: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, Vec<String>> {
    let mut by_file: BTreeMap<&str, Vec<(usize, &Place)>> = BTreeMap::new();
    for (n, mutant) in mutants.iter().enumerate() {
        for place in &mutant.places {
            by_file.entry(&place.file).or_default().push((n, place));
        }
    }
    let (mut out, mut wrong) = (BTreeMap::new(), Vec::new());
    for (file, places) in by_file {
        match fs::read_to_string(workspace.join(file)) {
            Ok(text) => match mutate(&text, &places) {
                Ok(text) => drop(out.insert(file.to_owned(), text)),
                Err(all) => wrong.extend(all.into_iter().map(|(n, why)| format!("{}: {file}: {why}", mutants[n].name))),
            },
            Err(e) => wrong.push(format!("{file}: {e}")),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

fn mutate(text: &str, places: &[(usize, &Place)]) -> Result<String, Vec<(usize, String)>> {
    let mut spots: BTreeMap<usize, Vec<(usize, &Place)>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (n, place) in places {
        let found: Vec<usize> = text.match_indices(&place.old).map(|(at, _)| at).collect();
        match found[..] {
            [at] => spots.entry(at).or_default().push((*n, place)),
            _ => wrong.push((*n, format!("stands there {} times, not once: {}", found.len(), place.old))),
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for (start, here) in spots {
        let (first, place) = here[0];
        if start < at
            || here.iter().any(|(_, other)| (&other.old, other.is_expression) != (&place.old, place.is_expression))
        {
            wrong.push((first, format!("overlaps another: {}", place.old)));
            continue;
        }
        out.push_str(&text[at..start]);
        out.push_str(&switched(&here));
        at = start + place.old.len();
    }
    out.push_str(&text[at..]);
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

fn switched(here: &[(usize, &Place)]) -> String {
    let place = here[0].1;
    let cases: String = here.iter().map(|(n, p)| format!("if crate::mutant::is({n}) {{ {}\n}} else ", p.new)).collect();
    let all = format!("{cases}{{ {}\n}}", place.old);
    if place.is_expression { format!("({all})") } else { all }
}

/// Copies the workspace, with all bugs in it. Files that are already the same stay, so that little is built again.
///
/// # Errors
/// In words.
pub fn copy(workspace: &Path, to: &Path, sources: &BTreeMap<String, String>) -> Result<(), String> {
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let mut next = vec![workspace.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(&directory).map_err(|e| told(&directory, e))? {
            let path = entry.map_err(|e| told(&directory, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let relative = path.strip_prefix(workspace).unwrap_or(&path);
            if path.is_dir() {
                // Neither what was built nor what git keeps.
                if name != "target" && name != ".git" {
                    next.push(path);
                }
                continue;
            }
            let relative = relative.to_string_lossy().into_owned();
            let mut bytes = match sources.get(&relative) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(&path).map_err(|e| told(&path, e))?,
            };
            if relative == "backend-tranquil/src/lib.rs" {
                bytes.extend_from_slice(b"\nmod mutant;\n");
            }
            if relative == "Cargo.toml" {
                // What a bug leaves unused is no matter here.
                bytes = String::from_utf8_lossy(&bytes).replace("= \"deny\"", "= \"allow\"").into_bytes();
            }
            write(&to.join(&relative), &bytes)?;
        }
    }
    write(&to.join("backend-tranquil/src/mutant.rs"), MODULE.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(told)?;
    fs::write(path, bytes).map_err(told)
}
