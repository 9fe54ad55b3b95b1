//! The operator's commands and the program itself. One test program for all of it: it is built and linked once.

mod bench;
mod binary;
mod commands;
mod control;
mod decoders;
#[path = "../engine/mod.rs"]
mod engine;
mod export;
mod import;
mod kill;
mod support;
mod terminal;

/// By itself the commands run on the model and the program on the embedded engine.
#[test]
fn everything_once_more_on_each_engine() {
    engine::once_more_on("tranquil", &["bench::", "binary::", "commands::", "decoders::", "kill::", "terminal::"]);
    engine::once_more_on("postgres", &["bench::", "decoders::", "kill::"]);
}
