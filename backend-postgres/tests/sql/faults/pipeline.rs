//! Groups that are written while the group before them is not committed.

use super::*;
use backend_api::Op;
use backend_api::mutation::Announce;

/// Long enough for everything that passes.
const LONG: Duration = Duration::from_secs(60);
const CALLERS: usize = 24;

fn numbered(n: u32) -> IdempotencyKey {
    let mut key = [3; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    IdempotencyKey(key)
}

/// The next commit to a repo.
fn next(repo: &mut SceneRepo, n: u32) -> Mutation {
    let path = scene::path(&format!("com.example.note/{}", n % 5));
    let draft = repo.draft(&[scene::Write::Put(path, scene::content(&n.to_string()))]);
    *repo = draft.after.clone();
    draft.mutation(numbered(n))
}

async fn accounts(store: &Postgres, of: usize) -> Vec<SceneRepo> {
    let names: Vec<String> = (0..of).map(|n| format!("caller{n}")).collect();
    for answer in store.apply_many(names.iter().map(|name| account(name)).collect()).await {
        answer.unwrap();
    }
    names.iter().map(|name| SceneRepo::new(scene::did(name))).collect()
}

/// Each repo has a caller, who waits for its answers.
async fn commits(store: &Arc<Postgres>, repos: &mut Vec<SceneRepo>, from: u32, count: u32) {
    let callers = repos.drain(..).map(|mut repo| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in from..from + count {
                store.apply(next(&mut repo, n)).await.unwrap();
            }
            repo
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        repos.push(tokio::time::timeout(LONG, caller).await.expect("nobody waits for ever").unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_other_accounts_do_not_wait_for_each_others_commit() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("pipeline", |_| {}).await else { return };
    let mut repos = accounts(&store, CALLERS).await;
    let before = head(&store).await;
    commits(&store, &mut repos, 0, 40).await;
    assert!(counter(&store, "cycles_pipelined").await > 0);
    // There is a connection for it.
    let narrow = open(url, |options| options.pool_size = 3).await;
    commits(&narrow, &mut repos, 40, 40).await;
    assert_eq!(counter(&narrow, "cycles_pipelined").await, 0);
    assert_eq!(counter(&store, "races").await, 0);
    assert_eq!(head(&store).await, before + 80 * CALLERS as u64);
    is_sound(&store).await;
}

/// What belongs to one account keeps its order, whatever passes it.
#[tokio::test(flavor = "multi_thread")]
async fn commits_to_one_account_keep_their_order_in_a_pipeline() {
    let Some(Scene { proxy: _proxy, url: _, store, _server }) = Scene::begin("in_order", |_| {}).await else { return };
    let mut repos = accounts(&store, 300).await;
    // More than a group takes; every other one follows the one before it in the same repo.
    let mut group = Vec::new();
    let (one, others) = repos.split_first_mut().unwrap();
    for n in 0..1_200 {
        group.push(next(one, n));
        group.push(next(&mut others[n as usize % 299], n));
    }
    for (n, answer) in store.apply_many(group).await.into_iter().enumerate() {
        answer.unwrap_or_else(|e| panic!("{n}: {e}"));
    }
    is_sound(&store).await;
}

/// Commits never end, and what is none, or is large, has its turn all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_small_commit_is_not_passed_for_ever() {
    let Some(Scene { proxy: _proxy, url: _, store, _server }) = Scene::begin("passed", |_| {}).await else { return };
    let repos = accounts(&store, CALLERS).await;
    let callers: Vec<_> = repos
        .into_iter()
        .map(|mut repo| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    store.apply(next(&mut repo, n)).await.unwrap();
                }
            })
        })
        .collect();
    let alice = |n, op| Mutation { did: scene::did("alice"), key: numbered(n), ops: vec![op], blocks: Vec::new() };
    let mut repo = SceneRepo::new(scene::did("alice"));
    for n in 0..20 {
        let row = alice(2 * n, scene::put_row(scene::row("one", "{}")));
        tokio::time::timeout(LONG, store.apply(row)).await.expect("a row has its turn").unwrap();
        let path = scene::path(&format!("com.example.note/{n}"));
        let draft = repo.draft(&[scene::Write::Put(path, scene::content_of_bytes(900_000))]);
        repo = draft.after.clone();
        let large = draft.mutation(numbered(2 * n + 1));
        tokio::time::timeout(LONG, store.apply(large)).await.expect("a large commit has its turn").unwrap();
    }
    for caller in callers {
        caller.abort();
    }
}

/// It waits for somebody's lock.
const LOCKED: &str = "wait_event_type = 'Lock'";
/// It has written, and waits for its turn.
const WRITTEN: &str = "state = 'idle in transaction' AND query LIKE '%A group of mutations%'";

/// Waits for a connection of which that is true.
async fn is_seen(watcher: &mut PgConnection, waits: &str) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {waits}");
    let seen = async {
        let count = || sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql.clone()));
        while count().fetch_one(&mut *watcher).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, seen).await.unwrap_or_else(|_| panic!("nobody is seen with {waits}"));
}

/// Two commits: somebody holds a row of the first, which has its turn; the second is written, and waits for the first.
async fn two_under_way<'a>(
    store: &Arc<Postgres>,
    repos: &mut [SceneRepo],
    holder: &'a mut PgConnection,
    watcher: &mut PgConnection,
) -> (sqlx::Transaction<'a, sqlx::Postgres>, Vec<tokio::task::JoinHandle<Result<Receipt, Error>>>) {
    let mut holder = holder.begin().await.unwrap();
    let held = "SELECT FROM repos WHERE did = $1 FOR UPDATE";
    sqlx::query(held).bind(repos[0].did.as_str()).execute(&mut *holder).await.unwrap();
    let mut sent = Vec::new();
    for (repo, waits) in repos.iter_mut().zip([LOCKED, WRITTEN]) {
        let (store, mutation) = (store.clone(), next(repo, 1));
        sent.push(tokio::spawn(async move { store.apply(mutation).await }));
        is_seen(watcher, waits).await;
    }
    (holder, sent)
}

async fn all_written(sent: Vec<tokio::task::JoinHandle<Result<Receipt, Error>>>) {
    for sent in sent {
        tokio::time::timeout(LONG, sent).await.expect("nobody waits for ever").unwrap().unwrap();
    }
}

/// A commit could go on at once, and waits behind what was given before it and cannot.
async fn is_not_passed(name: &str, first: impl FnOnce(&mut [SceneRepo]) -> Mutation) {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin(name, |_| {}).await else { return };
    let mut repos = accounts(&store, 2).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut watcher) = (connect(&url).await, connect(&url).await);
    let (holder, sent) = two_under_way(&store, &mut repos[..1], &mut holder, &mut watcher).await;
    let group = vec![first(&mut repos), next(&mut repos[1], 1)];
    let behind = tokio::spawn(async move { store.apply_many(group).await });
    // It would be written long since.
    for _ in 0..100 {
        sqlx::query("SELECT count(*) FROM pg_stat_activity").execute(&mut watcher).await.unwrap();
    }
    holder.rollback().await.unwrap();
    all_written(sent).await;
    let answers = tokio::time::timeout(LONG, behind).await.expect("they have their turn").unwrap();
    let [first, second] = <[_; 2]>::try_from(answers).unwrap().map(Result::unwrap);
    assert!(first.pos < second.pos);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_commit_is_not_passed() {
    let ops = vec![Op::Emit(Announce::Account)];
    let none = Mutation { did: scene::did("alice"), key: numbered(1), ops, blocks: Vec::new() };
    is_not_passed("not_passed", |_| none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_were_given_together_do_not_pass_each_other() {
    is_not_passed("not_passed_either", |repos| next(&mut repos[0], 2)).await;
}

/// Its account is under way: what others gave goes first, and it goes then.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_to_an_account_that_is_under_way_keeps_nobody_waiting() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("passed_by", |_| {}).await else { return };
    let mut repos = accounts(&store, 2).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut watcher) = (connect(&url).await, connect(&url).await);
    let (holder, sent) = two_under_way(&store, &mut repos[..1], &mut holder, &mut watcher).await;
    let (first, second) = (next(&mut repos[0], 2), next(&mut repos[1], 1));
    let behind = async { tokio::join!(store.apply(first), store.apply(second)) };
    let let_go = async {
        is_seen(&mut watcher, WRITTEN).await;
        holder.rollback().await.unwrap();
    };
    let ((first, second), ()) = tokio::time::timeout(LONG, async { tokio::join!(behind, let_go) }).await.unwrap();
    all_written(sent).await;
    assert!(first.unwrap().pos > second.unwrap().pos);
    is_sound(&store).await;
}

/// Somebody holds a row of the first group, and then wants one of the group that waits for it: the server, which finds such
/// circles, does not see this one.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_row_of_a_pipeline_waits_in_no_circle() {
    let change = |options: &mut Options| options.statement_timeout = 10 * LONG;
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("circle", change).await else { return };
    let mut repos = accounts(&store, 2).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut watcher) = (connect(&url).await, connect(&url).await);
    let (mut holder, sent) = two_under_way(&store, &mut repos, &mut holder, &mut watcher).await;
    let wants = sqlx::query("UPDATE repos SET records = records WHERE did = $1").bind(repos[1].did.as_str());
    tokio::time::timeout(LONG, wants.execute(&mut *holder)).await.expect("no circle").unwrap();
    holder.rollback().await.unwrap();
    all_written(sent).await;
    // The server ends who stands still for five seconds; it did not come to that.
    assert_eq!(counter(&store, "retries").await, 0);
    is_sound(&store).await;
}

/// The group that follows was planned on what is not committed after all.
#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_group_that_is_lost_is_lost_too() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("follows", |_| {}).await else { return };
    let mut repos = accounts(&store, 2).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut watcher) = (connect(&url).await, connect(&url).await);
    let before = head(&store).await;
    let (holder, sent) = two_under_way(&store, &mut repos, &mut holder, &mut watcher).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query(end).execute(&mut watcher).await.unwrap();
    holder.rollback().await.unwrap();
    all_written(sent).await;
    assert_eq!(head(&store).await, before + 2);
    is_sound(&store).await;
}

/// The statement that takes the next turn, and changes nothing else.
async fn turn(connection: &mut PgConnection) -> String {
    let sql = "SELECT turn::text, pos::text, seq::text, quote_literal(at) || '::timestamptz', epoch::text, \
               quote_literal(id) || '::bytea' FROM store";
    let row = sqlx::query(sql).fetch_one(connection).await.unwrap();
    let mut turn = include_str!("../../../sql/take_turn.sql").to_owned();
    let values = [0, 1, 2, 3, 4, 1, 2, 3, 5].map(|column| row.get::<String, _>(column));
    let values: Vec<String> = values.into_iter().chain(["false", "''", "''"].map(str::to_owned)).collect();
    for (place, value) in (1..).zip(values).collect::<Vec<_>>().into_iter().rev() {
        turn = turn.replace(&format!("${place}"), &value);
    }
    turn
}

/// Who holds the row of the store takes the turn, or waits for a row of the group that would wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_row_of_the_store_but_under_its_lock() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("skipped", |_| {}).await else { return };
    let mut repos = accounts(&store, 1).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut other) = (connect(&url).await, connect(&url).await);
    let mut holder = holder.begin().await.unwrap();
    sqlx::query("SELECT FROM store FOR UPDATE").execute(&mut *holder).await.unwrap();
    // By itself: it gives up its turn at once, and then waits for the lock to make its group under it.
    let (held, mutation) = (store.clone(), next(&mut repos[0], 1));
    let sent = tokio::spawn(async move { held.apply(mutation).await });
    let lost = async {
        while counter(&store, "races").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, lost).await.expect("it does not wait for the row");
    // Beside another.
    let turn = turn(&mut other).await;
    let end = sqlx::raw_sql(sqlx::AssertSqlSafe(turn)).fetch_optional(&mut other);
    assert!(tokio::time::timeout(LONG, end).await.expect("nor does it").unwrap().is_none());
    holder.rollback().await.unwrap();
    all_written(vec![sent]).await;
    let turn = self::turn(&mut other).await;
    let taken = sqlx::raw_sql(sqlx::AssertSqlSafe(turn)).fetch_optional(&mut other).await.unwrap();
    assert!(taken.is_some());
}

/// Another process has numbers to give out that the group has which waits for its turn.
#[tokio::test(flavor = "multi_thread")]
async fn who_writes_elsewhere_does_not_wait_for_a_pipeline() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("elsewhere", |_| {}).await else { return };
    let other = open(url.clone(), |_| {}).await;
    let mut repos = accounts(&store, 3).await;
    commits(&store, &mut repos, 0, 1).await;
    let (mut holder, mut watcher) = (connect(&url).await, connect(&url).await);
    let (holder, mut sent) = two_under_way(&store, &mut repos[..2], &mut holder, &mut watcher).await;
    let mutation = next(&mut repos[2], 1);
    sent.push(tokio::spawn(async move { other.apply(mutation).await }));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut watcher).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    holder.rollback().await.unwrap();
    all_written(sent).await;
    // Nobody waited for as long as a lock is waited for.
    assert_eq!(counter(&store, "retries").await, 0);
    is_sound(&store).await;
}

/// Whoever loses a connection, and at whatever message: what was taken is there, and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_loses_nothing_at_whatever_message_a_connection_is_lost() {
    const ROUNDS: u32 = 3;
    let Some(Scene { proxy, url: _, store, _server }) = Scene::begin("cut", |_| {}).await else { return };
    let mut repos = accounts(&store, CALLERS).await;
    let (mut from, mut announced) = (0, 0);
    for (of_client, half) in [(true, false), (true, true), (false, false), (false, true)] {
        for after in 0..24 {
            // Nobody was in the way for long enough.
            for _ in 0..64 {
                announced += 1;
                let ops = vec![Op::Emit(Announce::Account)];
                let mutation = Mutation { did: scene::did("alice"), key: numbered(announced), ops, blocks: Vec::new() };
                store.apply(mutation).await.unwrap();
            }
            let before = head(&store).await;
            proxy.cut(Cut { of_client, after, half });
            commits(&store, &mut repos, from, ROUNDS).await;
            from += ROUNDS;
            let _ = proxy.was_not_cut();
            assert_eq!(head(&store).await, before + u64::from(ROUNDS) * CALLERS as u64, "{of_client} {half} {after}");
        }
    }
    assert!(counter(&store, "cycles_pipelined").await > 20);
    is_sound(&store).await;
}

/// Both were idle when nothing came over them any more.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_dead_connections_one_is_waited_for() {
    let change = |options: &mut Options| options.statement_timeout = Duration::from_secs(1);
    let Some(Scene { proxy, url: _, store, _server }) = Scene::begin("both_dead", change).await else { return };
    let mut repos = accounts(&store, CALLERS).await;
    commits(&store, &mut repos, 0, 40).await;
    assert!(counter(&store, "cycles_pipelined").await > 0);
    let before = counter(&store, "retries").await;
    proxy.mute();
    let written = tokio::time::timeout(LONG, store.apply(next(&mut repos[0], 40))).await;
    written.expect("nobody waits for ever").unwrap();
    assert_eq!(counter(&store, "retries").await - before, 1, "attempts that were waited for");
    is_sound(&store).await;
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// What this process wrote it remembers, for as long as nobody else writes.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_took_away_is_held_no_longer() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("held", |_| {}).await else { return };
    let other = open(url, |_| {}).await;
    let repo = SceneRepo::new(scene::did("alice"));
    let (path, text) = (scene::path("com.example.note/1"), scene::content("held once"));
    let first = repo.draft(&[scene::Write::Put(path.clone(), text.clone())]);
    store.apply(first.mutation(numbered(1))).await.unwrap();
    let gone = first.after.draft(&[scene::Write::Delete(path.clone())]);
    other.apply(gone.mutation(numbered(2))).await.unwrap();
    // Without an event, which would need the bytes.
    let again = gone.after.draft(&[scene::Write::Put(path, text.clone())]).quiet();
    let mut without = again.mutation(numbered(3));
    without.blocks.retain(|block| block.cid() != text.cid);
    assert_eq!(store.apply(without).await.unwrap_err().reason(), Reason::BlockMissing);
    store.apply(again.mutation(numbered(4))).await.unwrap();
    is_sound(&store).await;
}
