//! The page of what was run says what its ledger has.

use std::fs;

use tranquil_sim::mutants::workspace;
use tranquil_sim::report::page;

#[test]
fn the_page_is_written_from_the_ledger_that_is_kept() {
    let read = |name| fs::read_to_string(workspace().join("docs").join(name)).expect("a file");
    assert_eq!(read("reliability.md"), page(&read("reliability-ledger.txt")), "cargo sim --report writes it anew");
}
