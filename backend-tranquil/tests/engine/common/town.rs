//! People who write until the disk is full, and what must hold of their data then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backend_api::{EventFrame, Firehose, Maintenance, Mutation, Op, Reason, Records, Seq, Writes};
use backend_tranquil::io::{Disk, Env};
use backend_tranquil::{Options, Tranquil};
use conformance::ManualClock;
use conformance::scene::Write;

use super::TestClock;
use super::story::{Person, key, small};

const PEOPLE: u64 = 4;
/// More than any of the disks under test has room for.
const POSTS_MAX: u64 = 20_000;
pub const HOUR: u64 = 3_600_000_000;

/// A store and its people.
pub struct Town {
    pub options: Options,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<ManualClock>,
    pub store: Arc<Tranquil>,
    pub people: Vec<Person>,
    /// Every event that was seen, by number.
    pub events: BTreeMap<u64, EventFrame>,
    pub posts: u64,
}

/// A few files of each sort within a test, and a reserve that holds what is deleted in it.
pub fn options(directory: &Path) -> Options {
    Options { log_file_bytes: 256 << 10, memtable_bytes_max: 48 << 10, ..small(directory) }
}

impl Town {
    pub fn open_store(disk: &Arc<dyn Disk>, clock: &Arc<ManualClock>, options: &Options) -> Arc<Tranquil> {
        let clock = Arc::new(TestClock(Arc::clone(clock)));
        let env = Env { disk: Arc::clone(disk), clock, ..Env::real() };
        Tranquil::open_in(env, options.clone()).expect("the store opens, also on a full disk")
    }

    /// Some people with a few posts each.
    pub async fn new(disk: Arc<dyn Disk>, options: Options) -> Self {
        let clock = Arc::<ManualClock>::default();
        clock.set(backend_api::Micros(1_000 * HOUR));
        let store = Self::open_store(&disk, &clock, &options);
        let mut people = Vec::new();
        for i in 0..PEOPLE {
            people.push(Person::create(&*store, &format!("p{i}"), 1_000_000 * i).await.unwrap());
        }
        let mut town = Self { options, disk, clock, store, people, events: BTreeMap::new(), posts: 0 };
        for _ in 0..PEOPLE * 3 {
            town.post().await.unwrap();
        }
        town.check().await;
        town
    }

    /// The next one posts.
    pub async fn post(&mut self) -> Result<(), backend_api::Error> {
        let person = &mut self.people[(self.posts % PEOPLE) as usize];
        let text = format!("note {} {}", self.posts, "word ".repeat(40));
        person.post(&*self.store, &text).await?;
        self.posts += 1;
        Ok(())
    }

    /// They post until they are refused; how often they could.
    pub async fn fill(&mut self) -> u64 {
        let before = self.posts;
        loop {
            match self.post().await {
                Ok(()) => assert!(self.posts - before < POSTS_MAX, "the disk is never full"),
                Err(e) => {
                    assert_eq!(e.reason(), Reason::StorageFull, "{e}");
                    return self.posts - before;
                }
            }
        }
    }

    /// One of them deletes a record, if one is left.
    pub async fn delete_record(&mut self, person: usize) -> Result<bool, backend_api::Error> {
        let person = &mut self.people[person];
        let Some(path) = person.repo.records.keys().next().cloned() else { return Ok(false) };
        let draft = person.repo.draft(&[Write::Delete(path)]);
        self.store.apply(draft.mutation(key(person.next))).await?;
        person.next += 1;
        person.repo = draft.after;
        Ok(true)
    }

    /// Operations on one of them.
    pub async fn apply(&mut self, person: usize, ops: Vec<Op>) -> Result<(), backend_api::Error> {
        let person = &mut self.people[person];
        let mutation = Mutation { did: person.repo.did.clone(), key: key(person.next), ops, blocks: Vec::new() };
        self.store.apply(mutation).await?;
        person.next += 1;
        Ok(())
    }

    /// Every record is what it was written as, and every event that was seen is what it was, without a gap.
    pub async fn check(&mut self) {
        for person in &self.people {
            for i in 0..7 {
                let path = conformance::scene::path(&format!("com.example.note/{i}"));
                let found = self.store.record(&person.repo.did, &path).await.unwrap().map(|r| r.bytes);
                let expected = person.repo.records.get(&path).map(|c| c.bytes.clone());
                assert_eq!(found, expected, "{} {path}", person.repo.did);
            }
        }
        let window = self.store.event_window().await.unwrap();
        let mut after = window.oldest.get() - 1;
        while after < window.head.get() {
            let events = self.store.events(Seq::new(after).unwrap(), 100, 1 << 20).await.unwrap();
            for event in events {
                after += 1;
                assert_eq!(event.seq.get(), after, "no gap");
                let seen = self.events.entry(after).or_insert_with(|| event.clone());
                assert_eq!(*seen, event, "event {after} is what it was");
            }
        }
        assert_eq!(self.events.last_key_value().map_or(0, |(seq, _)| *seq), window.head.get(), "nothing seen is lost");
    }

    /// Closes and opens again.
    pub async fn reopen(&mut self) {
        self.store.close().await.expect("a full disk does not keep the store from closing");
        self.store = Self::open_store(&self.disk, &self.clock, &self.options);
    }

    pub async fn counter(&self, name: &str) -> u64 {
        let counters = self.store.stats().await.unwrap().counters;
        counters.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// There is space again: everybody writes without a reopen, and all of it is there after one.
    pub async fn goes_on(&mut self) {
        self.store.checkpoint().await.unwrap();
        assert_eq!(self.counter("full").await, 0, "it notices by itself");
        for _ in 0..PEOPLE * 20 {
            self.post().await.unwrap();
        }
        self.check().await;
        self.reopen().await;
        self.check().await;
        self.post().await.unwrap();
        let report = self.store.verify(backend_api::VerifyLevel::Deep).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}
