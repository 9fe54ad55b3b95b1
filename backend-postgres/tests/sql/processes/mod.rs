//! Several processes over one database: each sees all events of all, contiguous and in order, while connections are killed and
//! the server is restarted; nothing acknowledged is lost, and nothing is doubled.
//!
//! `PROCESSES_SECONDS` sets how long they write; 60 if it is not set.

mod member;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use postgres_fixture::{Durability, Local};
use sqlx::{Connection as _, PgConnection, Row as _};

const PROCESSES: usize = 3;
const WRITERS: usize = 16;

struct Member {
    child: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
}

impl Member {
    /// This program again, as one that writes.
    fn start(url: &str, number: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::member_of_several", "--nocapture"])
            .env(member::URL, url)
            .env(member::NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        #[allow(clippy::disallowed_methods, reason = "a child's output is read while it runs")]
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, input, lines }
    }

    /// Lines up to one that starts with a word, which is the last.
    fn until(&self, word: &str, lines: &mut Vec<String>) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120)).expect("the member goes on");
            let is_last = line.starts_with(word);
            lines.push(line);
            if is_last {
                return;
            }
        }
    }
}

/// The process that [`Member::start`] starts; by itself it does nothing.
#[test]
fn member_of_several() {
    member::run();
}

/// Number of an event, a hash of its frame, and the DID and rev of a commit.
type Seen = (u64, String, Option<(String, String)>);

/// What one member said.
#[derive(Default)]
struct Said {
    /// DID and rev of each commit, with its event.
    acked: BTreeMap<(String, String), u64>,
    /// Increments of the shared row.
    increments: u64,
    /// Each event.
    seen: Vec<Seen>,
}

impl Said {
    fn read(lines: &[String]) -> Self {
        let mut said = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["acked", did, rev, seq] => {
                    let before = said.acked.insert(((*did).into(), (*rev).into()), seq.parse().unwrap());
                    assert_eq!(before, None, "{line}: acknowledged twice");
                }
                ["increased"] => said.increments += 1,
                ["seen", seq, hash] => said.seen.push((seq.parse().unwrap(), (*hash).into(), None)),
                ["seen", seq, hash, did, rev] => {
                    said.seen.push((seq.parse().unwrap(), (*hash).into(), Some(((*did).into(), (*rev).into()))));
                }
                _ => {}
            }
        }
        said
    }
}

#[test]
fn three_processes_lose_and_double_nothing() {
    if std::env::var_os(member::URL).is_some() {
        return;
    }
    // A server of our own: it is going to be restarted.
    let Some(mut server) = postgres_fixture::local(Durability::Full, "") else { return };
    let seconds = std::env::var("PROCESSES_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let url = server.url("postgres");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut members: Vec<Member> = (0..PROCESSES).map(|number| Member::start(&url, number)).collect();
    let mut lines: Vec<Vec<String>> = vec![Vec::new(); PROCESSES];
    for (member, lines) in members.iter().zip(&mut lines) {
        member.until("ready", lines);
    }
    let killed = runtime.block_on(disturb(&mut server, &url, seconds));
    assert!(killed > seconds, "{killed} connections were killed");
    for member in &mut members {
        writeln!(member.input, "stop").unwrap();
    }
    for (member, lines) in members.iter().zip(&mut lines) {
        member.until("stopped", lines);
    }
    let (head, count, value) = runtime.block_on(end(&url));
    for member in &mut members {
        writeln!(member.input, "{head}").unwrap();
    }
    for (member, lines) in members.iter_mut().zip(&mut lines) {
        member.until("ended", lines);
        assert!(member.child.wait().unwrap().success());
    }
    let said: Vec<Said> = lines.iter().map(|lines| Said::read(lines)).collect();
    check(&said, head, count, value);
}

/// Kills connections, and restarts the server once, half-way. How many connections it killed.
async fn disturb(server: &mut Local, url: &str, seconds: u64) -> u64 {
    let steps = seconds * 2;
    let mut killed = 0;
    for step in 0..steps {
        if step == steps / 2 {
            server.restart().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Ok(mut connection) = PgConnection::connect(url).await {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE application_name = 'tranquil-store' AND random() < 0.3";
            killed += sqlx::query(kill).execute(&mut connection).await.map_or(0, |done| done.rows_affected());
        }
    }
    killed
}

/// The newest event, how many there are, and the shared row's value.
async fn end(url: &str) -> (u64, u64, u64) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT seq, (SELECT count(*) FROM events), (SELECT body FROM rows WHERE kind = 17) FROM store";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    let value = String::from_utf8(row.get::<Vec<u8>, _>(2)).unwrap();
    (row.get::<i64, _>(0) as u64, row.get::<i64, _>(1) as u64, value.parse().unwrap())
}

fn check(said: &[Said], head: u64, count: u64, value: u64) {
    assert_eq!(count, head, "every number has its event");
    for (number, one) in said.iter().enumerate() {
        let numbers: Vec<u64> = one.seen.iter().map(|(seq, ..)| *seq).collect();
        assert!(
            numbers.iter().copied().eq(1..=head),
            "process {number} saw {} of {head} events in order",
            numbers.len()
        );
        assert_eq!(one.seen, said[0].seen, "process {number} and process 0 saw the same frames");
    }
    let acked: BTreeMap<_, _> = said.iter().flat_map(|one| one.acked.clone()).collect();
    let mut committed = BTreeMap::new();
    for (seq, _, commit) in &said[0].seen {
        if let Some(commit) = commit {
            assert_eq!(committed.insert(commit.clone(), *seq), None, "{commit:?} was committed twice");
        }
    }
    let lost: BTreeSet<_> = acked.iter().filter(|(commit, seq)| committed.get(*commit) != Some(seq)).collect();
    assert!(lost.is_empty(), "{} acknowledged commits are lost, such as {:?}", lost.len(), lost.first());
    assert_eq!(acked.len(), committed.len(), "every commit was acknowledged in the end");
    assert_eq!(said.iter().map(|one| one.increments).sum::<u64>(), value, "increments of the shared row");
    for (number, one) in said.iter().enumerate() {
        assert!(one.acked.len() > WRITERS, "process {number} committed {} times", one.acked.len());
    }
    println!("{} commits, {head} events, {value} increments", acked.len());
}
