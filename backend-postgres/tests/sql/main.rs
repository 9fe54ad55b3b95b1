//! All tests of the SQL engine, in one program: it is built and linked once, and has one server.

mod common;
mod conformance;
mod faults;
mod histories;
mod migrations;
mod operator;
mod plans;
mod processes;
