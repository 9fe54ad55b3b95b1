//! One of the processes: writers, and a subscriber that has to see everything.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backend_api::{
    Backend, Expect, Firehose as _, IdempotencyKey, Kind, Mutation, Op, Receipt, Row, RowKind, Rows as _, Seq,
    Writes as _,
};
use backend_postgres::{Options, Postgres};
use conformance::{create_account, scene};

pub const URL: &str = "PROCESSES_URL";
pub const NUMBER: &str = "PROCESSES_NUMBER";

/// Does what the environment says; nothing if it says nothing.
pub fn run() {
    let (Ok(url), Ok(number)) = (std::env::var(URL), std::env::var(NUMBER)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(&url, number.parse().unwrap()));
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// The next line that the parent says.
async fn input() -> String {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next().expect("the parent goes on").unwrap());
    line.await.unwrap()
}

async fn work(url: &str, number: u64) {
    let mut options = Options::new(url);
    options.retry_for = Duration::from_secs(60);
    let store = Postgres::open(options).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let last = Arc::new(AtomicU64::new(u64::MAX));
    let subscriber = tokio::spawn(subscribe(store.clone(), last.clone()));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..super::WRITERS as u64 {
        writers.spawn(write(store.clone(), number, writer, stop.clone()));
    }
    tell("ready");
    assert_eq!(input().await, "stop");
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    tell("stopped");
    last.store(input().await.parse().unwrap(), Ordering::SeqCst);
    subscriber.await.unwrap();
    backend_api::Maintenance::close(&*store).await.unwrap();
    tell("ended");
}

/// Sends a mutation until it is answered: an unknown outcome and a busy database ask for the same again.
async fn apply(store: &Postgres, mutation: &Mutation) -> Result<Receipt, backend_api::Error> {
    loop {
        match store.apply(mutation.clone()).await {
            Err(e) if matches!(e.kind(), Kind::Busy | Kind::OutcomeUnknown) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer,
        }
    }
}

async fn write(store: Arc<Postgres>, process: u64, writer: u64, stop: Arc<AtomicBool>) {
    let name = format!("p{process}w{writer}");
    let mut repo = scene::SceneRepo::new(scene::did(&name));
    let mut count = 0_u64;
    let mut key = || {
        count += 1;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&(process << 32 | writer).to_be_bytes());
        key[8..].copy_from_slice(&count.to_be_bytes());
        IdempotencyKey(key)
    };
    let account = Mutation { did: repo.did.clone(), key: key(), ops: vec![create_account(&name)], blocks: Vec::new() };
    apply(&store, &account).await.unwrap();
    let mut turn = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        let path = scene::path(&format!("com.example.note/{:03}", turn % 200));
        let draft = repo.draft(&[scene::Write::Put(path, scene::content(&format!("{name} {turn}")))]);
        let receipt = apply(&store, &draft.mutation(key())).await.unwrap();
        tell(&format!("acked {} {} {}", draft.after.did, draft.commit.head.rev, receipt.first_seq));
        repo = draft.after;
        turn += 1;
        if turn.is_multiple_of(4) {
            increase(&store, &repo.did, key()).await;
        }
    }
}

/// Adds one to a row that all writers of all processes share; of those who read the same value one succeeds.
async fn increase(store: &Postgres, did: &backend_api::Did, key: IdempotencyKey) {
    let name = scene::row_key("shared");
    debug_assert_eq!(name.kind, RowKind::Custom);
    let before = store.row(&name).await.ok().flatten();
    let value = before.as_ref().and_then(|row| std::str::from_utf8(&row.body).ok()?.parse::<u64>().ok()).unwrap_or(0);
    let expect = before.map_or(Expect::Absent, |row| Expect::Body(row.body));
    let row = Row { key: name, ..Row::new(RowKind::Custom, [0], (value + 1).to_string()) };
    let mutation = Mutation { did: did.clone(), key, ops: vec![Op::PutRow { row, expect }], blocks: Vec::new() };
    match apply(store, &mutation).await {
        Ok(_) => tell("increased"),
        Err(e) => assert_eq!(e.kind(), Kind::Conflict, "{e}"),
    }
}

/// Follows the firehose from its beginning.
async fn subscribe(store: Arc<Postgres>, last: Arc<AtomicU64>) {
    let mut after = Seq::ZERO;
    while after.get() < last.load(Ordering::SeqCst) {
        let waited = tokio::time::timeout(Duration::from_secs(2), store.wait_events(after)).await;
        if waited.is_err() {
            continue;
        }
        let Ok(events) = store.events(after, 500, 1 << 20).await else { continue };
        for event in events {
            let hash = format!("{:016x}", hash(&event.frame));
            let frame = scene::Frame::decode(&event.frame).unwrap();
            let commit = match (frame.t.as_str(), frame.text("repo"), frame.text("rev")) {
                ("#commit", Some(did), Some(rev)) => format!(" {did} {rev}"),
                _ => String::new(),
            };
            tell(&format!("seen {} {hash}{commit}", event.seq));
            after = event.seq;
        }
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Only what is used of the contract is named; the whole of it holds.
const _: fn(Arc<Postgres>) -> Arc<dyn Backend> = |store| store;
