//! The rooms of the embedded engine follow the data, and no arrow turns back.

use super::source::{Source, sources};
use super::{about, none};

const ENGINE: &str = "backend-tranquil/src/";

/// Each room, and the rooms that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("io", &[]),
    ("options", &[]),
    ("format", &[]),
    ("parity", &["format", "io"]),
    ("log", &["format", "io", "parity"]),
    ("meta", &["format", "io", "parity"]),
    ("events", &["format", "io", "parity"]),
    ("core", &["events", "format", "io", "log", "meta", "options", "parity"]),
    ("runtime", &["core", "format", "log", "options"]),
    ("feed", &["core", "format", "log"]),
    ("stats", &["core", "format", "meta"]),
    ("verify", &["core", "events", "format", "log", "meta"]),
    ("export", &["core", "events", "format", "meta", "runtime"]),
    ("tend", &["core", "format", "log", "meta", "runtime"]),
    ("repair", &["core", "events", "format", "io", "log", "meta", "runtime", "verify"]),
    (
        "backend",
        &["core", "export", "feed", "format", "io", "meta", "options", "repair", "runtime", "stats", "tend", "verify"],
    ),
    ("lib", &[]),
];

fn arrows(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix(ENGINE).and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let mut module: Vec<&str> = inside.split('/').collect();
    if module.len() > 1 && module.last() == Some(&"mod") {
        module.pop();
    }
    let room = module[0];
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: the room `{room}` is not in the table of conformance/tests/tidy", source.path)];
    };
    let mut out = Vec::new();
    for (at, target) in named(&source.code, module.len()) {
        let is_room = ROOMS.iter().any(|(name, _)| *name == target);
        if is_room && target != room && !allowed.contains(&target) {
            let place = source.place(at);
            out.push(format!("{place}: `{room}` must not use `{target}`; it may use {allowed:?}"));
        }
    }
    out
}

/// The modules at the crate's root that a file at some depth names, as `crate::x` or by enough `super`s.
fn named(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let from_root = code.match_indices("crate::").map(|(at, path)| (at, at + path.len()));
    let up = "super::".repeat(depth);
    let from_here = code.match_indices(&up).map(|(at, path)| (at, at + path.len())).collect::<Vec<_>>();
    from_root
        .chain(from_here)
        .flat_map(|(at, start)| firsts(&code[start..]).into_iter().map(move |n| (at, n)))
        .collect()
}

/// The first name of a path, or all first names of `{a::b, c}`.
fn firsts(rest: &str) -> Vec<&str> {
    let name = |text: &'_ str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..name(rest)]] };
    let mut depth = 0;
    let mut out = Vec::new();
    let mut expected = true;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            c if expected && c.is_ascii_alphabetic() => {
                out.push(&group[i..i + name(&group[i..])]);
                expected = false;
            }
            _ => {}
        }
    }
    out
}

#[test]
fn no_arrow_turns_back() {
    let sources = sources();
    none("arrows", &sources.iter().flat_map(arrows).collect::<Vec<_>>());
    // A room that is gone must not stay in the table.
    for (room, _) in ROOMS {
        let there = sources.iter().filter_map(|s| s.path.strip_prefix(ENGINE));
        let prefix = format!("{room}/");
        assert!(
            there.clone().any(|path| path == format!("{room}.rs") || path.starts_with(&prefix)),
            "the table names `{room}`, which is not there"
        );
    }
}

#[test]
fn arrows_that_turn_back_are_found() {
    let path = "backend-tranquil/src/log/files.rs";
    let found = |text: &str| about(path, text, arrows);
    assert_eq!(found("use crate::core::Shared;").len(), 1);
    assert_eq!(found("// crate::core\n\nfn f() { crate::meta::scan() }")[0].split(':').nth(1), Some("3"));
    assert_eq!(found("use crate::{io::File, events};").len(), 1);
    assert_eq!(found("use super::super::runtime::Pool;").len(), 1);
    assert!(found("use crate::format::frame;\nuse super::tail;\nuse crate::{io::{File, Disk}, format};").is_empty());
    assert_eq!(about("backend-tranquil/src/attic/x.rs", "", arrows).len(), 1);
    assert!(about("pds/src/x.rs", "use crate::core::X;", arrows).is_empty());
}
