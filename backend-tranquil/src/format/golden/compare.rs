//! Bytes against the files in `golden/`, which are dumps that people can read and that the pages in `docs/formats` show.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Set to any value, the files are written anew. Only for a format that gets a new version on purpose: stores in the
/// field have the old bytes.
const REGENERATE: &str = "GOLDEN_REGENERATE";

/// Compares bytes with `golden/<name>.hex`.
///
/// # Panics
/// If they differ, or the file is not there.
pub fn check(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.hex"));
    let found = dump(bytes);
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, found).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    if let Some((line, (is, was))) = found.lines().zip(expected.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!("{}:{}: the stored bytes have changed\n was {was}\n is  {is}\n{}", path.display(), line + 1, hint());
    }
    assert!(found == expected, "{}: {} bytes, another length than before\n{}", path.display(), bytes.len(), hint());
}

fn hint() -> String {
    format!(
        "Stores in the field hold the old bytes: give the changed format a new version and keep reading the old one. If \
         that is done, or nothing was ever released: {REGENERATE}=1 cargo test -p backend-tranquil golden, then \
         {REGENERATE}=1 cargo tidy for the pages in docs/formats; mend the words around the bytes by hand."
    )
}

/// Sixteen bytes a line: offset, bytes, and what of it is text.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex = line.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let text: String = line.iter().map(|b| if b.is_ascii_graphic() { *b as char } else { '.' }).collect();
        let _infallible = writeln!(out, "{:04x}  {hex:<47}  {text}", i * 16);
    }
    out
}
