//! What a write answers when the connection, the server, another process or its own writer fails under it.

mod alone;
mod amounts;
mod assumed;
mod away;
mod links;
mod messages;
mod passing;
mod pipeline;
mod poolers;
mod proxy;
mod retried;
mod silence;
mod switchovers;
mod transactions;
mod wakes;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use backend_api::{
    Committed, Error, Firehose as _, IdempotencyKey, Maintenance as _, Micros, Mutation, Reason, Receipt, VerifyLevel,
    Writes as _,
};
use backend_postgres::{Clock, Options, Postgres};
use conformance::{create_account, scene};
use postgres_fixture::{Durability, Local, local};
use proxy::{Cut, Fault, Moment, Proxy};
use scene::SceneRepo;
use sqlx::{Connection as _, PgConnection, Row as _};

/// The last words of a transaction of several statements.
const COMMIT: &[u8] = b"COMMIT";
/// In the values of the statement that is a transaction by itself.
const GROUP: &[u8] = b"tranquil_public";

fn key(n: u8) -> IdempotencyKey {
    IdempotencyKey([n; 16])
}

fn account(name: &str) -> Mutation {
    Mutation { did: scene::did(name), key: key(1), ops: vec![create_account(name)], blocks: Vec::new() }
}

/// The commit that comes after, and the repo behind it.
fn commit(repo: &SceneRepo, n: u8) -> (Mutation, SceneRepo) {
    let path = scene::path(&format!("com.example.note/{n}"));
    let draft = repo.draft(&[scene::Write::Put(path, scene::content("text"))]);
    let after = draft.after.clone();
    (draft.mutation(key(n)), after)
}

async fn open(url: String, change: impl FnOnce(&mut Options)) -> Arc<Postgres> {
    let mut options = Options::new(url);
    change(&mut options);
    Postgres::open(options).await.unwrap()
}

async fn head(store: &Postgres) -> u64 {
    store.event_window().await.unwrap().head.get()
}

async fn counter(store: &Postgres, name: &str) -> u64 {
    let counters = store.stats().await.unwrap().counters;
    counters.into_iter().find(|(of, _)| of == name).unwrap().1
}

async fn is_sound(store: &Postgres) {
    let report = store.verify(VerifyLevel::Deep).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// Ends every connection of stores.
async fn end_connections(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'tranquil-store' AND datname = current_database()";
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

/// A database of its own on a server.
async fn database(server: &Local, name: &str) -> String {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    server.url(name)
}

/// A store that reaches its server through a proxy, with an account, and the database's URL past the proxy.
struct Scene {
    proxy: Proxy,
    url: String,
    store: Arc<Postgres>,
    _server: Local,
}

impl Scene {
    /// None if there is no server.
    async fn begin(name: &str, change: impl FnOnce(&mut Options)) -> Option<Self> {
        let server = local(Durability::Fast, "")?;
        let proxy = Proxy::start(server.socket().to_owned());
        let url = database(&server, name).await;
        let store = open(proxy.url(name), change).await;
        store.apply(account("alice")).await.unwrap();
        Some(Self { proxy, url, store, _server: server })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_is_looked_up_and_not_guessed() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let proxy = Proxy::start(server.socket().to_owned());
    let mut number = 0;
    for words in [COMMIT, GROUP] {
        for moment in [Moment::Before, Moment::After] {
            for comes_back in [true, false] {
                let fault = Fault { words, moment, comes_back, says: None };
                number += 1;
                let name = format!("lost{number}");
                database(&server, &name).await;
                let store = open(proxy.url(&name), |options| {
                    options.retry_for = Duration::from_millis(if comes_back { 30_000 } else { 300 });
                })
                .await;
                let mut repo = SceneRepo::new(scene::did("alice"));
                store.apply(account("alice")).await.unwrap();
                let events = head(&store).await;
                // The first group is made under the lock, by several statements; the next by one.
                let (first, after) = commit(&repo, 2);
                repo = after;
                if words == GROUP {
                    store.apply(first.clone()).await.unwrap();
                }
                let (second, _) = commit(&repo, 3);
                let mutation = if words == GROUP { second } else { with_row(first) };
                proxy.set(fault);
                let answer = store.apply(mutation.clone()).await;
                assert!(proxy.has_happened(), "{fault:?}");
                if comes_back {
                    answer.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
                } else {
                    let error = answer.expect_err("the server is away");
                    assert_eq!(
                        (error.reason(), error.committed()),
                        (Reason::SyncFailed, Committed::Unknown),
                        "{fault:?}"
                    );
                    proxy.come_back();
                }
                let told = store.apply(mutation).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
                let expected = events + if words == GROUP { 2 } else { 1 };
                assert_eq!((told.first_seq.get(), head(&store).await), (expected, expected), "{fault:?}: once");
                store.close().await.unwrap();
            }
        }
    }
}

/// With a row beside the commit the group takes several statements.
fn with_row(mut mutation: Mutation) -> Mutation {
    mutation.ops.push(scene::put_row(scene::row("beside", "{}")));
    mutation
}

/// Only a plain error says that nothing was committed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_place_of_an_answer_is_not_believed() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let proxy = Proxy::start(server.socket().to_owned());
    for (number, says) in
        [("FATAL", "XX000"), ("FATAL", "57P01"), ("PANIC", "58030"), ("ERROR", "40003"), ("ERROR", "08007")]
            .into_iter()
            .enumerate()
    {
        let name = format!("said{number}");
        let url = database(&server, &name).await;
        let store = open(proxy.url(&name), |_| {}).await;
        store.apply(account("alice")).await.unwrap();
        let mutation = with_row(commit(&SceneRepo::new(scene::did("alice")), 2).0);
        proxy.set(Fault { words: COMMIT, moment: Moment::After, comes_back: true, says: Some(says) });
        let receipt = store.apply(mutation.clone()).await.unwrap_or_else(|e| panic!("{says:?}: {e}"));
        assert!(proxy.has_happened(), "{says:?}");
        assert_eq!(store.apply(mutation).await.unwrap(), receipt, "{says:?}");
        let other = open(url, |_| {}).await;
        assert_eq!(head(&other).await, 1, "{says:?}: once");
    }
}

/// Nobody may be told *nothing was written* once it may have been, whatever fails afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_a_lost_commit_does_not_make_it_certain() {
    let change = |options: &mut Options| options.retry_for = Duration::from_millis(300);
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("certain", change).await else { return };
    let other = open(url.clone(), |_| {}).await;
    proxy.set(Fault { words: COMMIT, moment: Moment::After, comes_back: false, says: None });
    let mutation = with_row(commit(&SceneRepo::new(scene::did("alice")), 2).0);
    let waiting = tokio::spawn({
        let (store, mutation) = (Arc::clone(&store), mutation.clone());
        async move { store.apply(mutation).await }
    });
    // The fence is raised behind the commit: what is refused now was done before.
    while !proxy.has_happened() {
        tokio::task::yield_now().await;
    }
    other.fence().await.unwrap();
    proxy.come_back();
    let answer: Result<Receipt, Error> = waiting.await.unwrap();
    assert_eq!(answer.unwrap_err().committed(), Committed::Unknown);
    assert_eq!(head(&other).await, 1, "it was committed");
}

/// A clock that can be made to do something else than to tell the time.
#[derive(Default)]
struct Trap(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Clock for Trap {
    fn now(&self) -> Micros {
        let trap = self.0.lock().unwrap().take();
        if let Some(trap) = trap {
            trap();
        }
        conformance::START
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_under_the_lock_does_not_hold_up_the_others() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "still").await;
    let trap = Arc::new(Trap::default());
    let store = open(url.clone(), |options| options.clock = trap.clone()).await;
    let other = open(url.clone(), |_| {}).await;
    let (stands, standing) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    *trap.0.lock().unwrap() = Some(Box::new(move || {
        stands.send(()).unwrap();
        let _ = goes_on.recv();
    }));
    // A first group is planned under the lock.
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.apply(account("alice")).await }
    });
    tokio::task::spawn_blocking(move || standing.recv().unwrap()).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(30), other.apply(account("bob"))).await;
    answered.expect("the lock was taken away from it").unwrap();
    go_on.send(()).unwrap();
    waiting.await.unwrap().expect("it was made again");
    assert_eq!(head(&other).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_writer_that_has_panicked() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "panic").await;
    let trap = Arc::new(Trap::default());
    let store = open(url, |options| options.clock = trap.clone()).await;
    store.apply(account("alice")).await.unwrap();
    *trap.0.lock().unwrap() = Some(Box::new(|| panic!("on purpose")));
    let error = store.apply(account("bob")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::SyncFailed, "{error}");
    let error = store.apply(account("carol")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Closed, "{error}");
    assert!(store.close().await.is_err());
}

/// The server's process for the writer is stopped: its connection stays, and says nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "silent").await;
    let store = open(url.clone(), |options| options.statement_timeout = Duration::from_secs(2)).await;
    store.apply(account("alice")).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // The writer's is the newest of those whose last word was that.
    let sql = "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' ORDER BY backend_start DESC LIMIT 1";
    let pid: i32 = sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0);
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &pid.to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let (mutation, _) = commit(&SceneRepo::new(scene::did("alice")), 2);
    let answer = tokio::time::timeout(Duration::from_secs(60), store.apply(mutation.clone())).await;
    signal("-CONT");
    let receipt = answer.expect("it is answered").unwrap();
    assert_eq!(store.apply(mutation).await.unwrap(), receipt);
    assert_eq!(head(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_stops_who_cannot_be_seen() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "fence").await;
    let (old, other) = (open(url.clone(), |_| {}).await, open(url.clone(), |_| {}).await);
    let mut repo = SceneRepo::new(scene::did("alice"));
    old.apply(account("alice")).await.unwrap();
    let mut number = 1;
    let mut next = || {
        number += 1;
        let (mutation, after) = commit(&repo, number);
        repo = after;
        mutation
    };
    old.apply(next()).await.unwrap();
    let before = head(&other).await;
    other.fence().await.unwrap();
    let refused = next();
    // What was open is shut out, under the lock as without it, and so is who opens now.
    let new = open(url.clone(), |_| {}).await;
    for store in [&old, &other, &new, &old] {
        let error = store.apply(refused.clone()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Closed, "{error}");
        assert!(error.detail().contains("fenced"), "{error}");
        assert_eq!(store.sweep(100).await.unwrap_err().reason(), Reason::Closed);
    }
    assert!(old.stats().await.unwrap().stopped.is_some_and(|why| why.contains("fenced")));
    assert_eq!(head(&new).await, before, "and reads go on");
    new.lower_fence().await.unwrap();
    // Those of before stay shut out.
    assert_eq!(old.apply(refused.clone()).await.unwrap_err().reason(), Reason::Closed);
    let newest = open(url.clone(), |_| {}).await;
    newest.apply(refused).await.unwrap();
    assert_eq!(head(&newest).await, before + 1);
    // By hand, and without a word to those who know where the store stands.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE store SET writable = false").execute(&mut connection).await.unwrap();
    assert_eq!(newest.apply(next()).await.unwrap_err().reason(), Reason::Closed);
    assert_eq!(head(&newest).await, before + 1);
}
