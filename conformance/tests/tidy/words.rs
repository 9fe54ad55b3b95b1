//! Nothing half-done stays, and nothing names the place where it was written.

use super::source::{Source, files, find_all, line_of, root, sources};
use super::{about, none};

/// In code.
const IN_CODE: &[(&str, &str)] = &[
    ("todo!", "do it, or leave it out"),
    ("unimplemented!", "do it, or leave it out"),
    ("dbg!", "print nothing by accident"),
    ("#[ignore", "a test that does not run is none"),
    ("should_panic]", "say which panic: #[should_panic(expected = ...)]"),
];

/// In any text. Put together here, so that this file does not hold them.
const IN_TEXT: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or write an issue"),
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    (concat!("XX", "X:"), "say it in words, or write an issue"),
    (concat!("/wo", "rk/"), "no paths of somebody's machine"),
    (concat!("/ho", "me/"), "no paths of somebody's machine"),
];

fn in_code(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for (word, why) in IN_CODE {
        // An attribute starts with no name, so it is found as it stands.
        let found: Vec<usize> = if word.starts_with('#') {
            source.code.match_indices(word).map(|(at, _)| at).collect()
        } else {
            find_all(&source.code, word).collect()
        };
        out.extend(found.into_iter().map(|at| format!("{}: `{word}`: {why}", source.place(at))));
    }
    out
}

fn in_text(path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (word, why) in IN_TEXT {
        out.extend(text.match_indices(word).map(|(at, _)| format!("{path}:{}: `{word}`: {why}", line_of(text, at))));
    }
    out
}

/// An `allow` or `expect` without a reason, other than for what macros make.
fn silenced(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for start in ["allow(", "expect("] {
        for at in find_all(&source.code, start) {
            let before = source.code[..at].trim_end();
            let is_attribute = before.ends_with("#[") || before.ends_with("#![");
            let end = source.code[at..].find(']').map_or(source.code.len(), |e| at + e);
            if is_attribute && find_all(&source.code[at..end], "reason").next().is_none() {
                out.push(format!("{}: a lint is silenced without `reason = \"...\"`", source.place(at)));
            }
        }
    }
    out
}

#[test]
fn nothing_is_half_done() {
    none("words", &sources().iter().flat_map(in_code).collect::<Vec<_>>());
    let mut complaints = Vec::new();
    for extension in ["rs", "md", "toml"] {
        complaints.extend(files(extension).iter().flat_map(|(path, text)| in_text(path, text)));
    }
    let run = std::fs::read_to_string(root().join(".ci/run")).expect("the script of CI is there");
    complaints.extend(in_text(".ci/run", &run));
    none("words", &complaints);
}

#[test]
fn lints_are_silenced_with_a_reason() {
    none("lints", &sources().iter().flat_map(silenced).collect::<Vec<_>>());
}

#[test]
fn what_is_half_done_is_found() {
    assert_eq!(about("a.rs", "fn f() { todo!() }", in_code), ["a.rs:1: `todo!`: do it, or leave it out"]);
    assert_eq!(about("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() { dbg!(1) }", in_code).len(), 2);
    assert!(about("a.rs", "// todo! is not code\nlet s = \"dbg!\";", in_code).is_empty());
    assert_eq!(in_text("a.md", concat!("fine\nTO", "DO: more\n")).len(), 1);
    assert_eq!(in_text("a.md", concat!("see /wo", "rk/x")).len(), 1);
    assert_eq!(about("a.rs", "#[allow(dead_code)]\nfn f() {}", silenced).len(), 1);
    assert!(about("a.rs", "#![allow(dead_code, reason = \"why\")]\nx.expect(1);", silenced).is_empty());
}
