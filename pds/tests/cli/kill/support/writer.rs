//! `pds dev-writer` as a child process.
#![allow(clippy::disallowed_methods, reason = "a child is read from threads, and killed at a moment in time")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use backend_api::{Cid, Did, Tid};

/// How long the child may take to open its store and write something.
const START: Duration = Duration::from_secs(60);

/// What the child said before it was killed.
#[derive(Default)]
pub struct Told {
    /// Commits that were acknowledged, with the numbers of their events.
    pub acked: Vec<(Did, Tid, Cid, u64)>,
    /// Events that a subscriber had, with the hashes of their frames.
    pub seen: Vec<(u64, String)>,
}

pub struct Writer {
    child: Child,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
    first_line: Receiver<()>,
}

impl Writer {
    pub fn start(store: &Path, seed: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pds"))
            .args(["dev-writer", "--strained", "--writers", "32", "--seed", &seed.to_string(), "--directory"])
            .arg(store)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the writer starts");
        let (sender, first_line) = channel();
        let stdout = child.stdout.take().expect("it was piped");
        let out = std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut text = String::new();
            stdout.read_line(&mut text).expect("a pipe can be read");
            // Whether anybody waits for it does not matter.
            let _ = sender.send(());
            stdout.read_to_string(&mut text).expect("a pipe can be read");
            text
        });
        let mut stderr = child.stderr.take().expect("it was piped");
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("a pipe can be read");
            text
        });
        Self { child, out, err, first_line }
    }

    /// Waits until the child has told something.
    pub fn wait_for_first_line(&self) {
        if self.first_line.recv_timeout(START) == Err(RecvTimeoutError::Timeout) {
            panic!("the writer wrote nothing within {START:?}");
        }
    }

    /// Kills the child some time from now, and gives what it told.
    pub fn kill_after_ms(mut self, ms: u64) -> Told {
        let until = Instant::now() + Duration::from_millis(ms);
        let mut ended = None;
        while ended.is_none() && Instant::now() < until {
            // The child may end by itself, if something is wrong with it.
            ended = self.child.try_wait().expect("a child can be waited for");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.child.kill().expect("a child can be killed");
        let status = self.child.wait().expect("a child can be waited for");
        let (out, err) = (self.out.join().expect("it was read"), self.err.join().expect("it was read"));
        assert!(status.code().is_none(), "the writer ended by itself, {status}: {err}");
        Told::parse(&out)
    }
}

impl Told {
    /// A line that the kill cut off was not told.
    fn parse(out: &str) -> Self {
        let mut told = Self::default();
        for line in out.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["acked", did, rev, cid, seq] => {
                    let number = seq.parse().expect("a number");
                    told.acked.push((did.parse().unwrap(), rev.parse().unwrap(), cid.parse().unwrap(), number));
                }
                ["seen", seq, hash] => told.seen.push((seq.parse().expect("a number"), (*hash).to_owned())),
                _ => panic!("the writer said {line:?}"),
            }
        }
        told
    }
}
