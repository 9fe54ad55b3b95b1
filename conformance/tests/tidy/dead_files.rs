//! Every Rust file is part of a crate.

use std::collections::BTreeMap;

use super::none;
use super::source::{Source, find_all, sources};

/// Files that cargo starts from by itself.
fn is_root(path: &str) -> bool {
    let Some((_, inside)) = path.split_once('/') else { return false };
    // A crate within a crate's folder.
    let crates = ["sim/", "fixture/", "fuzz/", "differential/"];
    let inside = crates.iter().find_map(|folder| inside.strip_prefix(folder)).unwrap_or(inside);
    if matches!(inside, "src/lib.rs" | "src/main.rs" | "build.rs") {
        return true;
    }
    ["src/bin/", "tests/", "examples/", "benches/", "targets/"].iter().any(|folder| {
        let inside = inside.strip_prefix(folder).unwrap_or("a/b/c");
        !inside.contains('/') || inside.ends_with("/main.rs") && inside.matches('/').count() == 1
    })
}

/// Paths that a file's `mod` lines may mean.
fn modules(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let is_folder = is_root(&source.path) || stem == "mod";
    let inside = if is_folder { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut out = Vec::new();
    for at in find_all(&source.code, "mod ") {
        let rest = source.code[at + 4..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !name.is_empty() && rest[name.len()..].trim_start().starts_with(';') {
            out.push(format!("{inside}/{name}.rs"));
            out.push(format!("{inside}/{name}/mod.rs"));
        }
    }
    for (at, attribute) in source.code.match_indices("#[path = ") {
        let given = source.text[at + attribute.len()..].split('"').nth(1).unwrap_or_default();
        out.push(joined(folder, given));
    }
    out
}

fn joined(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Files that no root leads to.
fn dead(sources: &[Source]) -> Vec<String> {
    let mut unseen: BTreeMap<&str, &Source> = sources.iter().map(|s| (s.path.as_str(), s)).collect();
    let mut next: Vec<String> = unseen.keys().filter(|path| is_root(path)).map(ToString::to_string).collect();
    while let Some(path) = next.pop() {
        if let Some(source) = unseen.remove(path.as_str()) {
            next.extend(modules(source));
        }
    }
    unseen.keys().map(|path| format!("{path}:1: no `mod` leads to this file")).collect()
}

#[test]
fn no_file_is_dead() {
    none("dead files", &dead(&sources()));
}

#[test]
fn dead_files_are_found() {
    let files = [
        ("a/src/lib.rs", "mod b;\npub mod c { }\n#[path = \"../shared/d.rs\"]\nmod d;\n// mod dead;"),
        ("a/src/b.rs", "mod inner;"),
        ("a/src/b/inner.rs", ""),
        ("a/shared/d.rs", ""),
        ("a/src/dead.rs", ""),
        ("a/src/c.rs", ""),
        ("a/tests/t/main.rs", "mod help;"),
        ("a/tests/t/help.rs", ""),
        ("a/tests/t/lost.rs", ""),
        ("a/tests/u.rs", "mod support;"),
        ("a/tests/support/mod.rs", ""),
    ];
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let found: Vec<String> = dead(&sources).iter().map(|d| d.split(':').next().unwrap_or_default().into()).collect();
    assert_eq!(found, ["a/src/c.rs", "a/src/dead.rs", "a/tests/t/lost.rs"]);
}
