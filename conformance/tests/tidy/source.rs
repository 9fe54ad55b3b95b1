//! The repository's files, and Rust code without its comments and texts.

use std::path::{Path, PathBuf};

/// A Rust file.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same lines with comments and the insides of literals blanked out: what is left is code.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), code: blank(text) }
    }

    /// `path:line` of a byte of the code.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, line_of(&self.code, at))
    }
}

/// The line, from 1, of a byte.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
}

/// The repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate is a folder of the repository").to_path_buf()
}

/// Files with an extension, in order, without what is built or hidden.
pub fn files(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), extension, &mut found);
    found.sort();
    assert!(found.len() > 3, "found only {} files with the extension {extension}", found.len());
    found
}

fn collect(directory: &Path, extension: &str, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A test may just have removed a file of its own: what is gone is no file of the project.
        if path.is_dir() && name != "target" && name != "data" && !name.starts_with('.') {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root()).expect("it is below the root").display().to_string();
            found.push((relative, text));
        }
    }
}

/// Every Rust file.
pub fn sources() -> Vec<Source> {
    files("rs").iter().map(|(path, text)| Source::new(path, text)).collect()
}

/// Occurrences of a word or path in code, not as a part of a longer name.
pub fn find_all<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let ends_in_name = part(needle.as_bytes().last());
    code.match_indices(needle).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| code.as_bytes().get(i));
        let goes_on = ends_in_name && part(code.as_bytes().get(at + needle.len()));
        !(part(before) || goes_on)
    })
}

/// Blanks comments and the insides of literals. Knows nested comments, raw strings, and lifetimes from characters.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes.get(i + 1) == Some(&b'/') => find(bytes, i, b"\n"),
            b'/' if bytes.get(i + 1) == Some(&b'*') => comment_end(bytes, i),
            b'r' | b'b' if !is_name(bytes, i) => match raw_string_end(bytes, i) {
                Some(end) => end,
                None => {
                    i += 1;
                    continue;
                }
            },
            b'"' => string_end(bytes, i),
            b'\'' => match character_end(bytes, i) {
                Some(end) => end,
                None => {
                    i += 1;
                    continue;
                }
            },
            _ => {
                i += 1;
                continue;
            }
        };
        for byte in &mut out[i..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        i = end;
    }
    String::from_utf8(out).expect("whole literals were blanked")
}

fn is_name(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|i| bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_')
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let found = bytes[from..].windows(needle.len()).position(|window| window == needle);
    found.map_or(bytes.len(), |at| from + at)
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0);
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => (i, depth) = (i + 2, depth + 1),
            b"*/" => (i, depth) = (i + 2, depth - 1),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut i = start + usize::from(bytes[start] == b'b');
    if bytes.get(i) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|b| **b == b'#').count();
    i += 1 + hashes;
    if bytes.get(i) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    Some((find(bytes, i + 1, &close) + close.len()).min(bytes.len()))
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// The end of a character; `None` for a lifetime.
fn character_end(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = std::str::from_utf8(&bytes[start + 1..]).ok()?;
    let first = rest.chars().next()?;
    let inside = if first == '\\' { 1 + rest[1..].chars().next()?.len_utf8() } else { first.len_utf8() };
    if first != '\\' {
        return (rest.as_bytes().get(inside) == Some(&b'\'')).then(|| start + 1 + inside + 1);
    }
    // An escape may be long: `\u{1f600}`.
    rest[inside..].find('\'').map(|at| start + 1 + inside + at + 1)
}

#[test]
fn what_is_blanked_is_not_code() {
    let text = "a /* x /* y */ z */ b \"s\\\"t\" 'c' '\\'' &'static r#\"{ \" }\"# br\"q\" '\\u{7b}' // end\nlast";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    let left: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(left, ["a", "b", "&'static", "last"], "{code}");
}

#[test]
fn words_are_found_whole() {
    let found: Vec<usize> = find_all("now now_ at::now! snow", "now").collect();
    assert_eq!(found, [0, 13]);
}
