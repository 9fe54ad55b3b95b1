//! A server, or what stands before it, that says nothing: every wait has an end.

use std::sync::Arc;
use std::time::Duration;

use backend_api::{
    AccountName, Accounts as _, Firehose as _, Maintenance as _, Reason, Seq, Snapshots as _, Writes as _,
};
use backend_postgres::Options;
use futures::StreamExt as _;
use postgres_fixture::{Durability, local};
use sqlx::{Connection as _, PgConnection};

use super::proxy::Proxy;
use super::{Scene, account, commit, database, end_connections, head, open, scene};

/// Longer than any wait of these tests may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}: it waits for ever"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_taken_and_never_answered_is_given_up() {
    let change = |options: &mut Options| options.retry_for = Duration::from_millis(1);
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("deaf", change).await else { return };
    proxy.be_silent(true);
    end_connections(&url).await;
    let mutation = super::commit(&scene::SceneRepo::new(scene::did("alice")), 2).0;
    let failed = in_time("a write", store.apply(mutation.clone())).await.unwrap_err();
    // Its connection ended before it was sent: nothing was written, and that is known.
    assert_eq!(failed.reason(), Reason::ReadFailed, "{failed}");
    let name = AccountName::Did(scene::did("alice"));
    // It may find a connection that was only just being made.
    let _ = in_time("a read", store.account(&name)).await;
    let other = in_time("an opening", backend_postgres::Postgres::open(Options::new(proxy.url("deaf"))));
    assert_eq!(other.await.err().map(|e| e.reason()), Some(Reason::ReadFailed));
    proxy.be_silent(false);
    store.apply(mutation).await.unwrap();
    in_time("closing", store.close()).await.unwrap();
}

/// Until as many connections as that wait for a lock.
async fn until_waiting(lock: &mut PgConnection, count: u32) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until(lock, waiting, count).await;
}

/// Until a statement counts as many.
async fn until(connection: &mut PgConnection, sql: &'static str, count: u32) {
    let seen = async {
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *connection).await.unwrap() < i64::from(count) {
            // Within a transaction it stays as it was first seen.
            sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *connection).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen)
        .await
        .unwrap_or_else(|_| panic!("{count} are not counted by {sql}"));
}

/// Connections stay, and nothing comes over them any more: the listener's, the one that reads, the writer's.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_die_without_a_word_are_given_up() {
    // What a listener said last, or asked to find out whether it is still heard.
    const LISTENING: &str = "SELECT count(*) FROM pg_stat_activity \
                             WHERE (query LIKE 'LISTEN%' OR query = 'SELECT') AND datname = current_database()";
    let change = |options: &mut Options| {
        options.statement_timeout = Duration::from_secs(4);
        options.pool_size = 0;
    };
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("mute", change).await else { return };
    let name = AccountName::Did(scene::did("alice"));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    in_time("listening", until(&mut connection, LISTENING, 1)).await;
    // The only connection for reads is lost while a statement is under way on it.
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE accounts").execute(&mut *lock).await.unwrap();
    let reading = tokio::spawn({
        let (store, name) = (Arc::clone(&store), name.clone());
        async move { store.account(&name).await }
    });
    until_waiting(&mut lock, 1).await;
    proxy.mute();
    lock.rollback().await.unwrap();
    // What comes now is new, and is answered.
    in_time("a read", reading).await.unwrap().unwrap();
    in_time("a sweep", store.sweep(10)).await.unwrap();
    let (mutation, _) = commit(&scene::SceneRepo::new(scene::did("alice")), 2);
    let other = open(url.clone(), |_| {}).await;
    other.apply(mutation).await.unwrap();
    in_time("an event of another process", store.wait_events(Seq::ZERO)).await.unwrap();
    assert_eq!(head(&store).await, 1);
    // The proxy keeps the old one; with it and the other store's there are three.
    in_time("listening again", until(&mut connection, LISTENING, 3)).await;
    proxy.mute();
    in_time("closing", store.close()).await.unwrap();
}

/// A dead connection is given up later than anything is tried for, as it is with the usual settings: that is its own fault.
#[tokio::test(flavor = "multi_thread")]
async fn what_met_a_dead_connection_tries_a_living_one_however_late_it_is() {
    const READERS: u32 = 8;
    // As long as half of the others would take one after the other.
    const REST: Duration = Duration::from_secs(7);
    let change = |options: &mut Options| {
        options.statement_timeout = Duration::from_secs(1);
        options.retry_for = Duration::from_millis(300);
        // Two write, one listens.
        options.pool_size = READERS + 3;
    };
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("late", change).await else { return };
    let name = AccountName::Did(scene::did("alice"));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE accounts").execute(&mut *lock).await.unwrap();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let (store, name) = (Arc::clone(&store), name.clone());
        readers.spawn(async move { store.account(&name).await });
    }
    until_waiting(&mut lock, READERS).await;
    lock.rollback().await.unwrap();
    while let Some(read) = readers.join_next().await {
        read.unwrap().unwrap();
    }
    proxy.mute();
    in_time("a read", store.account(&name)).await.expect("the server is there");
    let (mutation, _) = commit(&scene::SceneRepo::new(scene::did("alice")), 2);
    in_time("a write", store.apply(mutation)).await.expect("the server is there");
    let rest = async {
        for _ in 0..READERS {
            store.account(&name).await.unwrap();
        }
    };
    tokio::time::timeout(REST, rest).await.expect("they are known to be dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_finds_a_living_connection_however_many_are_dead() {
    const CONNECTIONS: u32 = 40;
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "dead").await;
    let store = open(url.clone(), |options| options.pool_size = CONNECTIONS).await;
    store.apply(account("alice")).await.unwrap();
    let name = AccountName::Did(scene::did("alice"));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // As many readers as there are connections wait for a lock at the same time.
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE accounts").execute(&mut *lock).await.unwrap();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS * 2 {
        let (store, name) = (Arc::clone(&store), name.clone());
        readers.spawn(async move { store.account(&name).await.map(drop) });
    }
    until_waiting(&mut lock, CONNECTIONS - 3).await;
    lock.rollback().await.unwrap();
    while let Some(ended) = readers.join_next().await {
        ended.unwrap().unwrap();
    }
    end_connections(&url).await;
    store.account(&name).await.expect("the server is there");
}

/// An opening takes as long as it takes, while the server is at it.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_is_given_up_when_the_server_is_no_longer_at_it() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "opening").await;
    open(url.clone(), |_| {}).await.close().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE migrations").execute(&mut *lock).await.unwrap();
    let proxies = [(); 3].map(|()| Proxy::start(server.socket().to_owned()));
    let opening = |url: String| tokio::spawn(backend_postgres::Postgres::open(Options::new(url)));
    let waiting = opening(url.clone());
    until_waiting(&mut lock, 1).await;
    let cut = opening(proxies[0].url("opening"));
    let ended = opening(proxies[1].url("opening"));
    until_waiting(&mut lock, 3).await;
    let asked_in_vain = opening(proxies[2].url("opening"));
    until_waiting(&mut lock, 4).await;
    // Of one nobody answers any more; of the next the connection is dead, and the server is there; of the last the server is
    // at it, and takes no connection twice.
    proxies[..2].iter().for_each(Proxy::mute);
    proxies[0].be_silent(true);
    proxies[2].refuse(2);
    let sql = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
               AND datname = current_database() ORDER BY backend_start OFFSET 1 LIMIT 2) AS later";
    sqlx::query(sql).execute(&mut *lock).await.unwrap();
    for lost in [cut, ended] {
        let error = in_time("an opening", lost).await.unwrap().err().expect("nobody answers");
        assert_eq!(error.reason(), Reason::ReadFailed, "{error}");
        assert!(error.detail().contains("does not answer"), "{error}");
    }
    // By now they have asked, too.
    assert!(!waiting.is_finished() && !asked_in_vain.is_finished() && proxies[2].has_refused());
    lock.rollback().await.unwrap();
    for waiting in [waiting, asked_in_vain] {
        in_time("another opening", waiting).await.unwrap().unwrap().close().await.unwrap();
    }
}

/// A copy is read as fast as its consumer wants it, which may take longer than a statement may.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_and_a_check_take_longer_than_a_statement_may() {
    // What is short enough for a test and longer than a busy machine takes for a small statement.
    const STATEMENT: Duration = Duration::from_secs(2);
    let Some(server) = local(Durability::Fast, "") else { return };
    let url = database(&server, "slow").await;
    open(url.clone(), |_| {}).await.close().await.unwrap();
    let store = open(url.clone(), |options| options.statement_timeout = STATEMENT).await;
    store.apply(account("alice")).await.unwrap();
    // More than the buffers between the server and us hold.
    let fill = "INSERT INTO events (seq, at, frame) SELECT n, now(), decode(repeat('00', 100000), 'hex') \
                FROM generate_series(1, 200) AS n; UPDATE store SET turn = turn + 1, seq = 200";
    sqlx::raw_sql(fill).execute(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap();
    let mut items = store.snapshot().await.unwrap().items;
    items.next().await.unwrap().unwrap();
    // The server has to have had the time to give the statement up.
    tokio::time::sleep(STATEMENT + STATEMENT / 2).await;
    let mut count = 1;
    while let Some(item) = items.next().await {
        item.unwrap();
        count += 1;
        if count == 5 {
            tokio::time::sleep(STATEMENT + STATEMENT / 2).await;
        }
    }
    assert!(count > 200, "{count}");
}
