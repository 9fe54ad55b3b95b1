//! Callers of two processes send again what they sent before, in all ways at once: each mutation is taken once, and every
//! answer to it is its receipt.

use super::*;
use backend_api::Op;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

const CALLERS: u32 = 12;
const ROUNDS: u32 = 36;

/// Has an account of its own.
struct Caller {
    stores: [Arc<Postgres>; 2],
    name: String,
    repo: SceneRepo,
    /// One does what others ask all questions after.
    disturbs: bool,
    /// Mutations that were sent.
    sent: u32,
    taken: Vec<(Mutation, Receipt)>,
}

impl Caller {
    fn new(stores: [Arc<Postgres>; 2], number: u32) -> Self {
        let name = format!("caller{number}");
        let repo = SceneRepo::new(scene::did(&name));
        Self { stores, name, repo, disturbs: number == 0, sent: 0, taken: Vec::new() }
    }

    fn key(&mut self) -> IdempotencyKey {
        self.sent += 1;
        let mut key = [8; 16];
        key[..4].copy_from_slice(&self.sent.to_be_bytes());
        IdempotencyKey(key)
    }

    /// The commit that makes a record, and the repo behind it.
    fn next(&mut self) -> (Mutation, SceneRepo) {
        let key = self.key();
        let path = scene::path(&format!("com.example.note/{}", self.sent));
        let content = scene::content("text").with_link(scene::link("subject", "at://did:web:somebody/a.b.c/1"));
        let draft = self.repo.draft(&[scene::Write::Put(path, content)]);
        let after = draft.after.clone();
        (draft.mutation(key), after)
    }

    fn store(&self) -> &Postgres {
        &self.stores[self.sent as usize % 2]
    }

    async fn taken(&mut self, mutation: Mutation) -> Receipt {
        let receipt = self.store().apply(mutation.clone()).await.unwrap_or_else(|e| panic!("{}: {e}", self.name));
        self.taken.push((mutation, receipt.clone()));
        receipt
    }

    async fn register(&mut self) {
        let mutation = Mutation { key: self.key(), ..account(&self.name) };
        self.taken(mutation).await;
        self.repo = SceneRepo::new(scene::did(&self.name));
    }

    /// What was sent before, by its number from the end.
    async fn is_told_again(&self, back: usize) {
        let Some((mutation, receipt)) = self.taken.iter().rev().nth(back) else { return };
        for store in &self.stores {
            assert_eq!(&store.apply(mutation.clone()).await.unwrap(), receipt, "{}: {mutation:?}", self.name);
        }
    }

    /// Twice by one process, and by the other too, at the same time.
    async fn at_once(&mut self) {
        let (mutation, after) = self.next();
        let [one, other] = &self.stores;
        let send = |store: &Arc<Postgres>| {
            let (store, mutation) = (Arc::clone(store), mutation.clone());
            async move { store.apply(mutation).await.unwrap() }
        };
        let (first, second, third) = tokio::join!(send(one), send(other), send(one));
        assert_eq!((&first, &first), (&second, &third), "{}", self.name);
        self.taken.push((mutation, first));
        self.repo = after;
    }

    /// With what is new, in one call.
    async fn among_others(&mut self) {
        let (mutation, after) = self.next();
        let (old, told) = self.taken[self.taken.len() / 2].clone();
        let group = vec![old.clone(), mutation.clone(), old, mutation.clone()];
        let answers = self.store().apply_many(group).await.into_iter().map(Result::unwrap);
        let [first, new, again, new_again] = <[Receipt; 4]>::try_from(answers.collect::<Vec<_>>()).unwrap();
        assert_eq!([&first, &again, &new_again], [&told, &told, &new], "{}", self.name);
        self.taken.push((mutation, new));
        self.repo = after;
    }

    /// A key that had another mutation, and a record that is there; both could be made otherwise.
    async fn is_refused(&mut self) {
        let (mutation, _) = self.next();
        let reused = Mutation { key: self.taken[0].0.key, ..mutation };
        let error = self.store().apply(reused).await.unwrap_err();
        assert_eq!(error.reason(), Reason::KeyReused, "{error}");
        let path = scene::path(&format!("com.example.note/{}", self.sent));
        let there = self.repo.draft(&[scene::Write::Put(path.clone(), scene::content("text"))]);
        let first = there.mutation(self.key());
        self.taken(first).await;
        self.repo = there.after;
        let mut twice = self.repo.draft(&[scene::Write::Put(path, scene::content("other"))]).mutation(self.key());
        for op in &mut twice.ops {
            let Op::Commit(commit) = op else { panic!("a draft is a commit") };
            commit.records[0].old = None;
        }
        let error = self.store().apply(twice).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RecordMismatch, "{error}");
    }

    /// The first commit of before could be made once more.
    async fn begins_anew(&mut self) {
        self.register_again().await;
        let first = self.taken.iter().position(|(mutation, _)| is_first_commit(mutation));
        if let Some((first, receipt)) = first.map(|at| self.taken[at].clone()) {
            assert_eq!(self.store().apply(first).await.unwrap(), receipt, "{}", self.name);
        }
        let (mutation, after) = self.next();
        self.taken(mutation).await;
        self.repo = after;
    }

    async fn register_again(&mut self) {
        let key = self.key();
        let gone = Mutation { did: scene::did(&self.name), key, ops: vec![Op::DeleteAccount], blocks: Vec::new() };
        self.taken(gone).await;
        self.register().await;
    }

    async fn work(mut self) -> Self {
        self.register().await;
        for round in 0..ROUNDS {
            match round % 12 {
                1 | 4 | 7 => self.at_once().await,
                2 | 8 => self.among_others().await,
                5 if self.disturbs => self.is_refused().await,
                11 if self.disturbs => self.begins_anew().await,
                _ => {
                    let (mutation, after) = self.next();
                    self.taken(mutation).await;
                    self.repo = after;
                }
            }
            self.is_told_again(round as usize % 7).await;
        }
        self
    }
}

fn is_first_commit(mutation: &Mutation) -> bool {
    mutation.ops.iter().any(|op| matches!(op, Op::Commit(commit) if commit.expected.is_none()))
}

/// Each was taken once, and nothing else was.
async fn is_taken_once(store: &Postgres, callers: &[Caller], before: u64) {
    let taken = callers.iter().flat_map(|caller| &caller.taken);
    let by_pos: BTreeMap<_, _> = taken.clone().map(|(mutation, receipt)| (receipt.pos, mutation)).collect();
    assert_eq!(by_pos.len(), taken.clone().count(), "no two of them are one");
    let events = taken.map(|(_, receipt)| u64::from(receipt.events)).sum::<u64>();
    assert_eq!(head(store).await, before + events);
    is_sound(store).await;
}

async fn all_work(stores: [Arc<Postgres>; 2]) -> Vec<Caller> {
    let callers = (0..CALLERS).map(|number| tokio::spawn(Caller::new(stores.clone(), number).work()));
    let mut done = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let worked = tokio::time::timeout(Duration::from_secs(300), caller).await;
        done.push(worked.expect("nobody waits for ever").unwrap());
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_by_many_is_taken_once() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("retried", |_| {}).await else { return };
    let before = head(&store).await;
    // By one process it is what groups assume; by two it is what they race for.
    let mut callers = all_work([Arc::clone(&store), Arc::clone(&store)]).await;
    is_taken_once(&store, &callers, before).await;
    assert!(counter(&store, "retries").await > 0, "what was assumed was wrong");
    for caller in &mut callers {
        caller.register_again().await;
        for (mutation, receipt) in &caller.taken {
            assert_eq!(&store.apply(mutation.clone()).await.unwrap(), receipt, "{}", caller.name);
        }
    }
    let anew = open(url, |_| {}).await;
    is_taken_once(&anew, &callers, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_to_two_processes_that_lose_connections_is_taken_once() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("resent", |_| {}).await else { return };
    let (before, other) = (head(&store).await, open(url.clone(), |_| {}).await);
    let is_over = AtomicBool::new(false);
    let disturb = async {
        while !is_over.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            end_connections(&url).await;
            other.sweep(100).await.unwrap();
        }
    };
    let work = async {
        let callers = all_work([Arc::clone(&store), Arc::clone(&other)]).await;
        is_over.store(true, Ordering::SeqCst);
        callers
    };
    let (callers, ()) = tokio::join!(work, disturb);
    is_taken_once(&store, &callers, before).await;
}
