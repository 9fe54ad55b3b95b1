//! A file has one subject, and a function one thought.

use super::source::{Source, find_all, line_of, sources};
use super::{about, none};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 100;

fn files(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, {FILE_LINES_MAX} are allowed: split it by subject", source.path)]
}

fn functions(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for at in find_all(&source.code, "fn ") {
        let name = &source.code[at + 3..];
        // A function pointer's type, or a macro's pattern.
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            continue;
        }
        let Some(end) = body_end(&source.code, at) else { continue };
        let lines = line_of(&source.code, end) - line_of(&source.code, at) + 1;
        if lines > FUNCTION_LINES_MAX {
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let place = source.place(at);
            out.push(format!("{place}: fn {name} has {lines} lines, {FUNCTION_LINES_MAX} are allowed"));
        }
    }
    out
}

/// The brace that closes a function's body; `None` if it has none.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_u32;
    let mut nested = 0_u32;
    for (i, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested = nested.saturating_sub(1),
            b';' if depth == 0 && nested == 0 => return None,
            b'{' => depth += 1,
            b'}' if depth <= 1 => return (depth == 1).then_some(i),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn files_are_short() {
    none("files", &sources().iter().flat_map(files).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    none("functions", &sources().iter().flat_map(functions).collect::<Vec<_>>());
}

#[test]
fn long_ones_are_found() {
    let long =
        format!("fn first() {{}}\n\nfn long(x: [u8; 3]) {{\n{}}}\nfn last();\n", "    if x { y() }\n".repeat(99));
    assert_eq!(about("a.rs", &long, functions), ["a.rs:3: fn long has 101 lines, 100 are allowed"]);
    let fits = long.replacen("    if x { y() }\n", "", 1);
    assert!(about("a.rs", &fits, functions).is_empty());
    let nested = format!("impl A {{ fn short(&self) -> fn(u8) {{ {{ }} }} }}\n{}", "\n".repeat(200));
    assert!(about("a.rs", &nested, functions).is_empty());
    assert_eq!(about("a.rs", &"\n".repeat(501), files).len(), 1);
    assert!(about("a.rs", &"\n".repeat(500), files).is_empty());
}
