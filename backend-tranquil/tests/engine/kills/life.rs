//! A process that carries out the story until it is killed, and what it told before.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use backend_api::{Cid, Codec, EventFrame, Firehose, Maintenance, Seq};
use backend_tranquil::io::{Disk, Env};
use backend_tranquil::{Options, Tranquil};
use conformance::ManualClock;
use tokio::task::JoinHandle;

use super::disk::{CountingDisk, Death, Side};
use super::story::{Act, HOUR_US, Step, steps};
use crate::common::TestClock;
use crate::common::story::small;

/// What a process is to do: directory, first step, call of its death, side.
const LIFE: &str = "KILLS_LIFE";

/// What is where in the directory of a run.
pub struct Place(pub PathBuf);

impl Place {
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    /// What was answered and seen. The kernel keeps what was written to it: a kill takes no line that was told.
    pub fn told(&self) -> PathBuf {
        self.0.join("told")
    }
    /// What the disk was asked.
    pub fn calls(&self) -> PathBuf {
        self.0.join("calls")
    }
}

/// Small sizes, so that the story fills several files of each sort.
fn options(directory: &Path) -> Options {
    Options {
        history_window_us: HOUR_US,
        event_retention_us: HOUR_US,
        snapshot_log_bytes_min: 4 << 10,
        ..small(directory)
    }
}

/// An open store under the story's clock.
pub struct Open {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    clock: Arc<ManualClock>,
    pub store: Arc<Tranquil>,
}

impl Open {
    pub fn at(disk: Arc<dyn Disk>, directory: &Path, step: &Step) -> Result<Self, String> {
        let clock = Arc::<ManualClock>::default();
        clock.set(step.at);
        let store = Self::store(&disk, &clock, directory)?;
        Ok(Self { disk, directory: directory.to_owned(), clock, store })
    }

    fn store(disk: &Arc<dyn Disk>, clock: &Arc<ManualClock>, directory: &Path) -> Result<Arc<Tranquil>, String> {
        let env = Env { disk: Arc::clone(disk), clock: Arc::new(TestClock(Arc::clone(clock))), ..Env::real() };
        Tranquil::open_in(env, options(directory)).map_err(|e| format!("it does not open: {e}"))
    }

    /// The answers to a step, as a line.
    pub async fn carry_out(&mut self, step: &Step) -> Result<String, String> {
        self.clock.set(step.at);
        if matches!(step.act, Act::Reopen) {
            self.store.close().await.map_err(|e| format!("it does not close: {e}"))?;
            self.store = Self::store(&self.disk, &self.clock, &self.directory)?;
        }
        step.carry_out(&*self.store).await
    }
}

/// What the child does, if this process is one.
pub fn live() {
    let Ok(life) = std::env::var(LIFE) else { return };
    let words: Vec<&str> = life.splitn(4, ' ').collect();
    let [from, call, side, directory] = words[..] else { panic!("{LIFE}: {life}") };
    let (from, call) = (from.parse().unwrap(), call.parse().unwrap());
    let death = Death { call, side: Side::named(side).expect("a side") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(tell(&Place(directory.into()), from, death));
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// One line in one write: a kill leaves all of it or nothing.
fn say(mut told: &File, line: &str) {
    told.write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn tell(place: &Place, from: usize, death: Death) {
    let disk = Arc::new(CountingDisk::new(death, Some(append(&place.calls()))));
    let story = steps();
    let mut open = Open::at(disk, &place.store(), &story[from]).unwrap();
    let told = append(&place.told());
    let mut watch = spawn_watch(&open.store, place).await;
    for (i, step) in story.iter().enumerate().skip(from) {
        let answer = open.carry_out(step).await.unwrap();
        say(&told, &format!("done {i} {answer}"));
        if matches!(step.act, Act::Reopen) {
            watch.await.unwrap();
            watch = spawn_watch(&open.store, place).await;
        }
    }
    open.store.close().await.unwrap();
    watch.await.unwrap();
    say(&told, "ended");
}

/// Somebody who follows from now on.
async fn spawn_watch(store: &Arc<Tranquil>, place: &Place) -> JoinHandle<()> {
    let after = store.event_window().await.unwrap().head;
    tokio::spawn(watch(Arc::clone(store), after, append(&place.told())))
}

/// Tells each event as soon as it can be seen.
async fn watch(store: Arc<Tranquil>, mut after: Seq, told: File) {
    while store.wait_events(after).await.is_ok() {
        let Ok(events) = store.events(after, 100, 1 << 20).await else { return };
        for event in events {
            say(&told, &format!("seen {} {}", event.seq, hash(&event)));
            after = event.seq;
        }
    }
}

fn hash(event: &EventFrame) -> String {
    Cid::of(Codec::Raw, &event.frame).to_string()
}

/// What was told by all the lives that a store had.
#[derive(Default, Clone)]
pub struct Told {
    /// Answers, by step.
    pub done: BTreeMap<usize, String>,
    /// Hashes of events, by number.
    pub seen: BTreeMap<u64, String>,
    pub ended: bool,
}

impl Told {
    pub fn of(place: &Place) -> Self {
        let mut told = Self::default();
        for line in std::fs::read_to_string(place.told()).unwrap_or_default().lines() {
            match line.split_once(' ') {
                Some(("done", rest)) => {
                    let (step, answer) = rest.split_once(' ').unwrap();
                    told.done.insert(step.parse().unwrap(), answer.to_owned());
                }
                Some(("seen", rest)) => {
                    let (seq, hash) = rest.split_once(' ').unwrap();
                    told.seen.insert(seq.parse().unwrap(), hash.to_owned());
                }
                _ if line == "ended" => told.ended = true,
                _ => panic!("a process said {line:?}"),
            }
        }
        told
    }

    /// The step that was not answered.
    pub fn next(&self) -> usize {
        self.done.len()
    }

    /// Makes sure that what was seen is there, as it was.
    pub async fn saw_only(&self, store: &Tranquil) -> Result<(), String> {
        let window = store.event_window().await.map_err(|e| e.to_string())?;
        let (oldest, head) = (window.oldest.get(), window.head.get());
        if let Some((seq, _)) = self.seen.last_key_value().filter(|(seq, _)| **seq > head) {
            return Err(format!("event {seq} was seen, and the newest is {head}"));
        }
        let mut after = oldest - 1;
        while after < head {
            let cursor = Seq::new(after).map_err(|e| e.to_string())?;
            for event in store.events(cursor, 100, 1 << 20).await.map_err(|e| e.to_string())? {
                after += 1;
                if event.seq.get() != after {
                    return Err(format!("event {} stands where event {after} belongs", event.seq));
                }
                if self.seen.get(&after).is_some_and(|seen| *seen != hash(&event)) {
                    return Err(format!("event {after} is not what was seen"));
                }
            }
        }
        Ok(())
    }
}

/// Lets a process live from a step on. True if it was killed.
pub fn killed(place: &Place, from: usize, death: Death) -> Result<bool, String> {
    let life = format!("{from} {} {} {}", death.call, death.side.name(), place.0.display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::one_life", "--nocapture"])
        .env(LIFE, life)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("a process cannot be started: {e}"))?;
    match output.status.code() {
        None => Ok(true),
        Some(0) => Ok(false),
        Some(code) => Err(format!("the process ended with {code}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
