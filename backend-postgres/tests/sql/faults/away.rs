//! A server that cannot be reached for a while.

use super::passing::retries;
use super::*;
use backend_api::Op;
use backend_api::mutation::Announce;

/// Half a minute for each group that waits would be hours for the last of a full queue.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_server_that_is_away_waits_no_longer_than_the_first() {
    const GROUPS: usize = 8;
    const GROUP: usize = 512;
    let change = |options: &mut Options| options.retry_for = Duration::from_secs(1);
    let Some(scene) = Scene::begin("away", change).await else { return };
    let before = retries(&scene).await;
    let mutation = |n: usize| {
        let mut key = [7; 16];
        key[..8].copy_from_slice(&n.to_be_bytes());
        let ops = vec![Op::Emit(Announce::Account)];
        Mutation { did: scene::did("alice"), key: IdempotencyKey(key), ops, blocks: Vec::new() }
    };
    scene.proxy.go_away();
    end_connections(&scene.url).await;
    let answers = scene.store.apply_many((0..GROUPS * GROUP).map(mutation).collect()).await;
    for answer in &answers {
        let refused = answer.as_ref().expect_err("the server is away");
        assert!(matches!(refused.reason(), Reason::ReadFailed | Reason::SyncFailed), "{refused}");
    }
    scene.proxy.come_back();
    // The first takes nine in its second, and may leave some that came a little later.
    let retries = retries(&scene).await - before;
    assert!(retries < 30, "{retries} attempts for {GROUPS} groups");
    scene.store.apply(mutation(1)).await.expect("it is there again");
    scene.store.close().await.unwrap();
}

/// All figures are read alike, also those that another server may not have.
#[tokio::test(flavor = "multi_thread")]
async fn figures_of_the_servers_log_are_asked_for_again() {
    let Some(scene) = Scene::begin("figures", |_| {}).await else { return };
    scene.proxy.set(Fault { words: b"pg_current_wal_lsn", moment: Moment::Before, comes_back: true, says: None });
    let counters = scene.store.stats().await.unwrap().counters;
    assert!(scene.proxy.has_happened());
    let names: Vec<_> = counters.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"server_wal_bytes"), "{names:?}");
}
