//! Time, threads, random numbers and files come from one room each. `clippy.toml` bans the calls; this looks for the names,
//! which an alias or a macro would hide from clippy, and keeps the list of rooms.

use super::source::{Source, find_all, sources};
use super::{about, none};

/// What is kept in rooms.
struct Ban {
    what: &'static str,
    names: &'static [&'static str],
    /// Where the ban holds; empty: everywhere.
    within: &'static str,
    /// Files, or folders that end in `/`.
    rooms: &'static [&'static str],
}

const BANS: &[Ban] = &[
    Ban {
        what: "the clock",
        names: &["SystemTime::now", "Instant::now"],
        within: "",
        rooms: &[
            "backend-postgres/src/clock.rs",
            // How long a run really takes.
            "backend-tranquil/sim/src/watch.rs",
            "backend-tranquil/src/io/real.rs",
            // The suite's own, for fixtures that have no other.
            "conformance/src/clock.rs",
            "pds/src/env.rs",
            // What measures must look at the machine's clock.
            "pds/src/bench/",
            // Deadlines of a connection, on the async runtime's clock.
            "pds/src/firehose/mod.rs",
            // A child is killed at a moment in time.
            "pds/tests/cli/kill/support/writer.rs",
        ],
    },
    Ban {
        what: "threads",
        names: &["thread::spawn", "thread::Builder", "thread::sleep"],
        within: "",
        rooms: &[
            // Another program's state is waited for; a drop has no other way to wait.
            "backend-postgres/fixture/src/",
            // A child's output is read while it runs.
            "backend-postgres/tests/sql/processes/mod.rs",
            "backend-tranquil/src/runtime/",
            "pds/src/bench/",
            // A command that is to end is not waited for without an end.
            "pds/tests/cli/binary.rs",
            // A child's output is read while it is killed.
            "pds/tests/cli/kill/support/writer.rs",
            // Nor is a terminal read without one.
            "pds/tests/cli/terminal.rs",
        ],
    },
    Ban {
        what: "random numbers",
        names: &["getrandom", "thread_rng", "OsRng", "RandomState", "rand"],
        within: "",
        rooms: &[
            "backend-tranquil/src/io/real.rs",
            "pds/src/env.rs",
            // Which of many locks a repo waits at, so that nobody can choose names that share one.
            "pds/src/repo/turns.rs",
            // Hashers whose order never shows: blocks are sorted at the drain, and caches have none.
            "backend-tranquil/src/meta/blocks.rs",
            "backend-tranquil/src/meta/rows.rs",
            "backend-tranquil/src/meta/kept.rs",
            "backend-tranquil/src/core/shared.rs",
        ],
    },
    Ban {
        what: "the file system",
        names: &["std::fs", "fs::read", "fs::write", "File::open", "File::create", "OpenOptions"],
        within: "backend-tranquil/src/",
        rooms: &["backend-tranquil/src/io/", "backend-tranquil/src/format/golden/compare.rs"],
    },
    Ban {
        what: "the world (the contract does no I/O and has no runtime)",
        names: &["std::fs", "std::net", "std::thread", "std::env", "tokio"],
        within: "backend-api/src/",
        rooms: &[],
    },
    Ban { what: "waiting for a time", names: &["sleep"], within: "conformance/src/", rooms: &[] },
];

fn bans(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for ban in BANS.iter().filter(|ban| source.path.starts_with(ban.within)) {
        let is_room = |room: &str| source.path == room || (room.ends_with('/') && source.path.starts_with(room));
        if ban.rooms.iter().any(|room| is_room(room)) {
            continue;
        }
        for name in ban.names {
            for at in find_all(&source.code, name) {
                let (place, what) = (source.place(at), ban.what);
                out.push(format!("{place}: `{name}`: {what} has its rooms: {:?}", ban.rooms));
            }
        }
    }
    out
}

#[test]
fn the_world_comes_in_through_its_rooms() {
    let sources = sources();
    none("rooms", &sources.iter().flat_map(bans).collect::<Vec<_>>());
    for room in BANS.iter().flat_map(|ban| ban.rooms) {
        assert!(sources.iter().any(|s| s.path.starts_with(room)), "the room {room} is not there");
    }
}

#[test]
fn the_world_outside_its_rooms_is_found() {
    let clock = "fn f() {\n    let t = std::time::SystemTime::now();\n}\n";
    assert!(about("pds/src/app.rs", clock, bans)[0].starts_with("pds/src/app.rs:2:"));
    assert!(about("pds/src/env.rs", clock, bans).is_empty());
    assert!(about("pds/src/app.rs", "// Instant::now is banned\nlet s = \"thread::spawn\";", bans).is_empty());
    assert_eq!(about("backend-tranquil/src/log/files.rs", "std::thread::spawn(|| {})", bans).len(), 1);
    assert_eq!(about("backend-tranquil/src/log/files.rs", "let f = File::open(path);", bans).len(), 1);
    assert_eq!(about("pds/src/auth/token.rs", "getrandom::fill(&mut x)", bans).len(), 1);
    assert_eq!(about("backend-api/src/car/reader.rs", "use tokio::io;", bans).len(), 1);
}
