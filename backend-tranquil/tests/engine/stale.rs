//! Files of an earlier time of the same store put beside newer ones, as a restore of a part leaves it: everything
//! acknowledged is served, or what is missing is named, and all is served when the newer files are back (promises P1, P3, P7).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::TestClock;
use crate::common::story::{Person, copy, files, key, small};
use backend_api::mutation::Announce;
use backend_api::{
    Error, EventFrame, Expect, Firehose, Maintenance, Micros, Mutation, Op, Reason, Row, RowKind, Seq, SnapshotItem,
    Writes,
};
use backend_tranquil::io::Env;
use backend_tranquil::{Options, Tranquil};
use conformance::digest::difference;
use conformance::scene::{Write, did};
use conformance::{ManualClock, snapshot};

const HOUR: u64 = 3_600_000_000;

/// Small files of every sort, with copies of the metadata.
fn options(directory: &Path) -> Options {
    Options { snapshot_log_bytes_min: 1, memtable_bytes_max: 16 << 10, ..small(directory) }
}

/// Everything that a store answers with.
struct State {
    items: Vec<SnapshotItem>,
    events: BTreeMap<u64, EventFrame>,
}

async fn state(store: &Tranquil) -> Result<State, Error> {
    let items = snapshot(store).await?;
    let window = store.event_window().await?;
    let (mut events, mut after) = (BTreeMap::new(), window.oldest.get() - 1);
    while after < window.head.get() {
        let found = store.events(Seq::new(after)?, 100, 1 << 20).await?;
        assert!(!found.is_empty(), "events after {after} of {window:?}");
        for event in found {
            after += 1;
            assert_eq!(event.seq.get(), after, "no gap");
            events.insert(after, event);
        }
    }
    Ok(State { items, events })
}

impl State {
    /// What another answers otherwise. Old events may be more or less: retention drops whole segments, which may be others.
    fn same(&self, other: &Self) -> Result<(), String> {
        if let Some(difference) = difference(&self.items, &other.items) {
            return Err(difference);
        }
        let head = |state: &Self| state.events.keys().next_back().copied();
        if head(self) != head(other) {
            return Err(format!("events end at {:?} and {:?}", head(self), head(other)));
        }
        let changed = self.events.iter().find(|(seq, event)| other.events.get(seq).is_some_and(|o| o != *event));
        changed.map_or(Ok(()), |(seq, _)| Err(format!("event {seq} is another")))
    }
}

fn open(directory: &Path, clock: &Arc<ManualClock>) -> Result<Arc<Tranquil>, Error> {
    let env = Env { clock: Arc::new(TestClock(Arc::clone(clock))), ..Env::real() };
    Tranquil::open_in(env, options(directory))
}

async fn read(directory: &Path, clock: &Arc<ManualClock>) -> Result<State, Error> {
    let store = open(directory, clock)?;
    let found = state(&store).await;
    drop(store.close().await);
    found
}

/// A store's life: what there was at each of its moments.
struct Life {
    clock: Arc<ManualClock>,
    live: tempfile::TempDir,
    people: Vec<Person>,
    moments: Vec<(tempfile::TempDir, State)>,
}

impl Life {
    async fn new() -> Self {
        let (clock, live) = (Arc::<ManualClock>::default(), tempfile::tempdir().unwrap());
        clock.set(Micros(1_000 * HOUR));
        let store = open(live.path(), &clock).unwrap();
        let mut people = Vec::new();
        for (i, word) in ["alice", "bob", "carol"].into_iter().enumerate() {
            people.push(Person::create(&*store, word, 1_000_000 * i as u64).await.unwrap());
        }
        store.close().await.unwrap();
        Self { clock, live, people, moments: Vec::new() }
    }

    /// They post, and remove a record each.
    async fn goes_on(&mut self, store: &Tranquil, commits: usize) {
        for i in 0..commits {
            let n = i % self.people.len();
            self.people[n].post(store, &format!("note {i} of moment {}", self.moments.len())).await.unwrap();
        }
        for person in &mut self.people {
            let Some(path) = person.repo.records.keys().next().cloned() else { continue };
            let draft = person.repo.draft(&[Write::Delete(path)]);
            store.apply(draft.mutation(key(person.next))).await.unwrap();
            (person.next, person.repo) = (person.next + 1, draft.after);
        }
    }

    async fn remembers(&mut self, store: &Arc<Tranquil>, is_killed: bool) {
        let waits = |s: backend_api::Stats| s.counters.iter().any(|(n, v)| n == "events_waiting_bytes" && *v > 0);
        while waits(store.stats().await.unwrap()) {}
        let dir = tempfile::tempdir().unwrap();
        let state = state(store).await.unwrap();
        if is_killed {
            copy(self.live.path(), dir.path());
        }
        store.close().await.unwrap();
        if !is_killed {
            copy(self.live.path(), dir.path());
        }
        self.moments.push((dir, state));
    }
}

async fn a_life(is_killed: bool) -> Life {
    let mut life = Life::new().await;
    for moment in 0..4 {
        let store = open(life.live.path(), &life.clock).unwrap();
        life.goes_on(&store, 20).await;
        if moment == 2 {
            let gone = life.people.pop().unwrap();
            let (did, key) = (gone.repo.did.clone(), key(gone.next));
            let ops = vec![Op::DeleteAccount];
            store.apply(Mutation { did, key, ops, blocks: Vec::new() }).await.unwrap();
        }
        if moment > 1 {
            life.clock.set(Micros((1_000 + 100 * moment) * HOUR));
            while !store.sweep(50).await.unwrap().done {}
            life.goes_on(&store, 5).await;
        }
        life.remembers(&store, is_killed).await;
    }
    life
}

fn sort_of(path: &Path) -> &'static str {
    let room = |name: &str| path.components().next().is_some_and(|c| c.as_os_str() == name);
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match ending {
        "log" if room("log") => "log",
        "segment" => "segments",
        "snapshot" => "copies",
        "parity" if room("snapshots") => "copies",
        "parity" if room("events") => "sidecars of events",
        "parity" if room("log") => "sidecars of the log",
        "index" | "hint" => "indexes",
        _ if room("meta") => "metadata",
        _ => "",
    }
}

const SORTS: [&str; 7] =
    ["log", "segments", "copies", "metadata", "sidecars of the log", "sidecars of events", "indexes"];

fn relative(directory: &Path) -> Vec<PathBuf> {
    files(directory).into_iter().map(|f| f.strip_prefix(directory).unwrap().to_owned()).collect()
}

/// `into` has what `from` has of these sorts, and no other file of them but what it has there `over`.
fn put(from: &Path, into: &Path, sorts: &[&str], over: bool) {
    for file in relative(into).into_iter().filter(|f| !over && sorts.contains(&sort_of(f))) {
        fs::remove_file(into.join(file)).unwrap();
    }
    for file in relative(from).into_iter().filter(|f| sorts.contains(&sort_of(f))) {
        fs::create_dir_all(into.join(&file).parent().unwrap()).unwrap();
        fs::copy(from.join(&file), into.join(&file)).unwrap();
    }
}

/// Writes on in a directory; what is there then.
async fn write_on(
    directory: &Path,
    clock: &Arc<ManualClock>,
    is_killed: bool,
) -> Result<(tempfile::TempDir, State), Error> {
    let store = open(directory, clock)?;
    for n in 0..40_u64 {
        let row = Row::new(RowKind::Session, format!("late {n}").as_bytes(), vec![n as u8; 300]);
        let ops = vec![Op::PutRow { row, expect: Expect::Absent }, Op::Emit(Announce::Account)];
        store.apply(Mutation { did: did("alice"), key: key(50_000_000 + n), ops, blocks: Vec::new() }).await?;
    }
    let waits = |s: backend_api::Stats| s.counters.iter().any(|(n, v)| n == "events_waiting_bytes" && *v > 0);
    while waits(store.stats().await?) {}
    let after = state(&store).await?;
    let dir = tempfile::tempdir().unwrap();
    if is_killed {
        copy(directory, dir.path());
    }
    store.close().await?;
    if !is_killed {
        copy(directory, dir.path());
    }
    Ok((dir, after))
}

/// The newest store of a life with some of its files from an earlier time.
struct Mixed<'a> {
    newest: &'a (tempfile::TempDir, State),
    clock: &'a Arc<ManualClock>,
    stale: &'a [&'static str],
    /// The older files were put over the newer ones, of which those stay that were not there then.
    over: bool,
}

impl Mixed<'_> {
    /// What is wrong with a store that was served: it must hold everything, also after it was written on and the files that
    /// it did without came back.
    async fn served(&self, mixed: &Path, found: [State; 2], is_killed: bool) -> Result<(), String> {
        found.iter().try_for_each(|found| self.newest.1.same(found))?;
        let told = |e: Error| format!("cannot be written on: {e}");
        let (late, after) = write_on(mixed, self.clock, is_killed).await.map_err(told)?;
        let back = tempfile::tempdir().unwrap();
        copy(late.path(), back.path());
        let told = |e: Error| format!("written on: {e}");
        after.same(&read(late.path(), self.clock).await.map_err(told)?)?;
        let sound = tempfile::tempdir().unwrap();
        copy(back.path(), sound.path());
        put(self.newest.0.path(), back.path(), self.stale, self.over);
        match read(back.path(), self.clock).await {
            Ok(found) => after.same(&found),
            Err(e) if is_told(&e) => {
                put(sound.path(), back.path(), self.stale, false);
                after.same(&read(back.path(), self.clock).await.map_err(|e| format!("undone: {e}"))?)
            }
            Err(e) => Err(format!("came back: {e}")),
        }
    }

    /// What is wrong with a store that was refused: it must say so, and hold everything when the newer files are back.
    async fn refused(&self, mixed: &Path, errors: [Error; 2]) -> Result<(), String> {
        if let Some(error) = errors.iter().find(|e| !is_told(e)) {
            return Err(error.to_string());
        }
        put(self.newest.0.path(), mixed, self.stale, false);
        self.newest.1.same(&read(mixed, self.clock).await.map_err(|e| format!("newer files are back: {e}"))?)
    }
}

fn is_told(error: &Error) -> bool {
    matches!(error.reason(), Reason::DataCorrupt | Reason::WrongStore)
}

/// All that tells of itself how far a store went. A copy of the metadata may be of any earlier time.
const WITNESSES: [&str; 5] = ["log", "segments", "metadata", "sidecars of the log", "sidecars of events"];

async fn whatever_is_stale(is_killed: bool) {
    let life = a_life(is_killed).await;
    let newest = life.moments.last().unwrap();
    let (mut served, mut refused) = (0, 0);
    let earlier = life.moments[..life.moments.len() - 1].iter().rev();
    for ((older, _), over) in earlier.zip([false, true, false]) {
        for subset in 1_u32..1 << SORTS.len() {
            let stale: Vec<_> = (0..SORTS.len()).filter(|i| subset & 1 << i != 0).map(|i| SORTS[i]).collect();
            if !over && WITNESSES.iter().all(|sort| stale.contains(sort)) {
                continue;
            }
            let mixed = tempfile::tempdir().unwrap();
            copy(newest.0.path(), mixed.path());
            put(older.path(), mixed.path(), &stale, over);
            let found = [read(mixed.path(), &life.clock).await, read(mixed.path(), &life.clock).await];
            let of = Mixed { newest, clock: &life.clock, stale: &stale, over };
            let checked = match found {
                [Ok(first), Ok(second)] => {
                    served += 1;
                    of.served(mixed.path(), [first, second], subset.count_ones() % 2 == 0).await
                }
                [Err(first), Err(second)] => {
                    refused += 1;
                    of.refused(mixed.path(), [first, second]).await
                }
                [first, second] => Err(format!("{:?}, then {:?}", first.map(drop), second.map(drop))),
            };
            checked.unwrap_or_else(|why| panic!("stale {stale:?}, over the newer ones {over}: {why}"));
        }
    }
    assert!(served > 100 && refused > 100, "{served} were served, {refused} were refused");
}

#[tokio::test]
async fn whatever_a_closed_store_has_of_an_earlier_time_is_made_good_or_told() {
    whatever_is_stale(false).await;
}

#[tokio::test]
async fn whatever_a_killed_store_has_of_an_earlier_time_is_made_good_or_told() {
    whatever_is_stale(true).await;
}

/// All of a store was put back to an earlier time, but for the copies of its metadata: they tell.
#[tokio::test]
async fn a_copy_of_the_metadata_tells_of_a_lost_end_of_the_log() {
    let life = a_life(false).await;
    let ((older, _), (newest, then)) = (&life.moments[0], life.moments.last().unwrap());
    let mixed = tempfile::tempdir().unwrap();
    copy(older.path(), mixed.path());
    put(newest.path(), mixed.path(), &["copies"], false);
    let error = read(mixed.path(), &life.clock).await.err().expect("it is refused");
    assert_eq!(error.reason(), Reason::DataCorrupt, "{error}");
    assert!(error.detail().contains("the log ends at mutation") && error.detail().contains(".snapshot"), "{error}");
    put(newest.path(), mixed.path(), &SORTS, false);
    then.same(&read(mixed.path(), &life.clock).await.unwrap()).unwrap();
}
