//! Host-sized integers never reach the disk.

use super::source::{Source, find_all, sources};
use super::{about, none};

/// Where stored types are defined.
const WITHIN: &[&str] = &["backend-api/src/", "backend-tranquil/src/"];

fn host_sized(source: &Source) -> Vec<String> {
    if !WITHIN.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    let mut out = in_serialized_types(source);
    out.extend(in_bytes(source));
    out
}

/// `usize` within a type that derives `Serialize`.
fn in_serialized_types(source: &Source) -> Vec<String> {
    let code = &source.code;
    let mut out = Vec::new();
    for derive in find_all(code, "derive(") {
        let Some(close) = code[derive..].find(')').map(|at| derive + at) else { continue };
        if find_all(&code[derive..close], "Serialize").next().is_none() {
            continue;
        }
        // To the end of a body, or of a tuple or unit type; attributes between are skipped as part of it.
        let body_end = code[close..].find(['{', ';']).map_or(code.len(), |at| {
            let start = close + at;
            if code[start..].starts_with('{') { closing(code, start) } else { start }
        });
        for name in ["usize", "isize"] {
            for at in find_all(&code[close..body_end], name) {
                let place = source.place(close + at);
                out.push(format!("{place}: {name} in a type that is stored: use a number with a width"));
            }
        }
    }
    out
}

fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return i,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// A length or `usize` turned into bytes as it is.
fn in_bytes(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for method in ["to_le_bytes", "to_be_bytes", "to_ne_bytes", "from_le_bytes", "from_be_bytes", "from_ne_bytes"] {
        for at in find_all(&source.code, method) {
            let before = source.code[..at].trim_end();
            let whole = ["len().", "count().", "usize::", "isize::", "as usize).", "as isize).", "usize."];
            if method.contains("_ne_") || whole.iter().any(|end| before.ends_with(end)) {
                let place = source.place(at);
                out.push(format!("{place}: {method} on a host-sized number or order: say the width"));
            }
        }
    }
    out
}

#[test]
fn nothing_stored_is_host_sized() {
    none("stored", &sources().iter().flat_map(host_sized).collect::<Vec<_>>());
}

#[test]
fn host_sized_numbers_are_found() {
    let found = |text: &str| about("backend-tranquil/src/format/x.rs", text, host_sized);
    let stored =
        "#[derive(Debug, Serialize)]\n#[serde(rename_all = \"x\")]\nstruct A {\n    /// usize\n    len: usize,\n}\n";
    assert_eq!(found(stored).len(), 1);
    assert!(found(stored)[0].contains("x.rs:5"));
    assert_eq!(found("#[derive(serde::Serialize)] struct A(isize);").len(), 1);
    assert!(
        found("#[derive(Debug)] struct A { len: usize }\n#[derive(Serialize)] struct B(u64);\nfn f(x: usize) {}")
            .is_empty()
    );
    assert_eq!(found("out.extend(&bytes.len().to_le_bytes());").len(), 1);
    assert_eq!(found("let n = usize::from_be_bytes(b);").len(), 1);
    assert!(found("out.extend(&(bytes.len() as u32).to_le_bytes());").is_empty());
}
