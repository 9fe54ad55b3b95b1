//! The documents lead where they say, and name tests that are there.

use std::path::Path;

use super::none;
use super::source::{files, find_all, line_of, root, sources};

/// Links to files that are not there. `exists` is asked for paths relative to the repository.
fn broken(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut out = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
            continue;
        }
        let resolved = normal(&folder.join(file));
        if !exists(&resolved) {
            out.push(format!("{path}:{}: {target} leads nowhere ({resolved})", line_of(text, at)));
        }
    }
    out
}

fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.iter().map(|p| p.to_string_lossy().into_owned()) {
        match part.as_str() {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Names of tests in the table of promises, in the column after the last bar but one: `` `name` ``.
fn tests_named(text: &str) -> Vec<(usize, &str)> {
    let rows = text.match_indices("\n| P").map(|(at, _)| at + 1);
    let cells = rows.filter_map(|at| {
        let row = text[at..].lines().next().unwrap_or_default();
        let cell = row.trim_end().trim_end_matches('|').rsplit('|').next()?;
        Some((line_of(text, at), cell))
    });
    cells.flat_map(|(line, cell)| cell.split('`').skip(1).step_by(2).map(move |name| (line, name))).collect()
}

#[test]
fn links_lead_somewhere() {
    let exists = |path: &str| root().join(path).exists();
    none("links", &files("md").iter().flat_map(|(path, text)| broken(path, text, &exists)).collect::<Vec<_>>());
}

#[test]
fn the_promises_name_tests_that_are_there() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    let sources = sources();
    let named = tests_named(&text);
    assert!(named.len() >= 8, "the table of promises names {} tests", named.len());
    let is_test = |name: &str| {
        let function = format!("fn {name}");
        sources.iter().any(|source| find_all(&source.code, &function).next().is_some())
    };
    let missing = named.iter().filter(|(_, name)| !is_test(name));
    let complaints: Vec<String> = missing.map(|(line, name)| format!("README.md:{line}: no test {name}")).collect();
    none("promises", &complaints);
}

#[test]
fn the_readme_has_the_command_that_ci_runs() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    let block = text.split("<!-- ci: test -->\n```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    assert!(block.is_some_and(|b| b.contains("cargo test")), "README.md: no block marked `<!-- ci: test -->`");
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let exists = |path: &str| path == "docs/a.md" || path == "README.md";
    let text = "see [a](a.md#part), [up](../README.md), [web](https://x.y), [here](#part)\n[gone](b.md)\n";
    let found = broken("docs/x.md", text, &exists);
    assert_eq!(found, ["docs/x.md:2: b.md leads nowhere (docs/b.md)"]);
    assert_eq!(tests_named("\n| P1 | text `no` | `one`, `two` |\n| Q | `no` |\n"), [(2, "one"), (2, "two")]);
}
