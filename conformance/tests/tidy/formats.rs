//! The pages in `docs/formats` show the bytes that the engine writes.
//!
//! The engine's tests hold its bytes against `backend-tranquil/golden/<name>.hex`. Here the pages are held against the
//! same files: a block that starts with ```` ```text <name> ```` has the bytes of that file, and each file is on a page.
//! `GOLDEN_REGENERATE=1 cargo tidy` carries the files over to the pages; the words around them are yours to mend.

use super::none;
use super::source::{files, line_of, root};

const GOLDEN: &str = "backend-tranquil/golden/";

/// Blocks of a page: line, name, bytes.
fn blocks(text: &str) -> Vec<(usize, &str, &str)> {
    let starts = text.match_indices("```text ").map(|(at, fence)| (at, at + fence.len()));
    starts
        .filter_map(|(at, name)| {
            let (name, rest) = text[name..].split_once('\n')?;
            Some((line_of(text, at), name.trim(), rest.split("```").next()?))
        })
        .collect()
}

fn differing(path: &str, text: &str, golden: &[(String, String)]) -> Vec<String> {
    let mut out = Vec::new();
    for (line, name, shown) in blocks(text) {
        match golden.iter().find(|(file, _)| *file == format!("{GOLDEN}{name}.hex")) {
            Some((_, bytes)) if bytes == shown => {}
            Some((file, _)) => out.push(format!("{path}:{line}: the bytes of {name} are others than in {file}")),
            None => out.push(format!("{path}:{line}: there is no {GOLDEN}{name}.hex")),
        }
    }
    out
}

fn unlisted(pages: &[(String, String)], golden: &[(String, String)]) -> Vec<String> {
    let shown = |name: &str| pages.iter().any(|(_, text)| blocks(text).iter().any(|(_, shown, _)| *shown == name));
    let mut out = Vec::new();
    for (file, _) in golden {
        let name = file.trim_start_matches(GOLDEN).trim_end_matches(".hex");
        if !shown(name) {
            out.push(format!("{file}:1: no page in docs/formats shows it"));
        }
    }
    out
}

/// The page with the bytes of the files in its blocks.
fn carried_over(text: &str, golden: &[(String, String)]) -> String {
    let mut out = text.to_owned();
    for (_, name, shown) in blocks(text) {
        if let Some((_, bytes)) = golden.iter().find(|(file, _)| *file == format!("{GOLDEN}{name}.hex")) {
            out = out.replace(&format!("```text {name}\n{shown}```"), &format!("```text {name}\n{bytes}```"));
        }
    }
    out
}

fn pages() -> Vec<(String, String)> {
    files("md").into_iter().filter(|(path, _)| path.starts_with("docs/formats/")).collect()
}

#[test]
fn the_pages_show_what_is_written() {
    let golden = files("hex");
    if std::env::var_os("GOLDEN_REGENERATE").is_some() {
        for (path, text) in pages() {
            std::fs::write(root().join(&path), carried_over(&text, &golden)).expect("the page can be written");
        }
    }
    let pages = pages();
    assert!(golden.len() > 40 && pages.len() > 5, "{} golden files, {} pages", golden.len(), pages.len());
    none("formats", &pages.iter().flat_map(|(path, text)| differing(path, text, &golden)).collect::<Vec<_>>());
    none("formats", &unlisted(&pages, &golden));
}

#[test]
fn other_bytes_are_found() {
    let golden = [("backend-tranquil/golden/a.hex".to_owned(), "00 01\n".to_owned())];
    let page = |bytes: &str, name: &str| format!("words\n```text {name}\n{bytes}\n```\n");
    assert!(differing("d.md", &page("00 01", "a"), &golden).is_empty());
    assert_eq!(differing("d.md", &page("00 02", "a"), &golden).len(), 1);
    assert!(differing("d.md", &page("00 02", "b"), &golden)[0].starts_with("d.md:2:"));
    assert_eq!(carried_over(&page("00 02", "a"), &golden), page("00 01", "a"));
    assert_eq!(unlisted(&[("d.md".into(), page("00 01", "b"))], &golden).len(), 1);
    assert!(unlisted(&[("d.md".into(), page("00 01", "a"))], &golden).is_empty());
}
