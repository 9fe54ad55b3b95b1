//! What one mutation of a group brings up, and what the others of it are told.

use super::passing::{When, end_the_first};
use super::*;
use backend_api::Op;
use backend_api::mutation::Announce;

fn put_blob(n: u8) -> Mutation {
    let put = Op::PutBlob { cid: scene::blob_cid(&n.to_string()), mime: "image/png".into(), bytes: 1 };
    Mutation { did: scene::did("alice"), key: key(n), ops: vec![put], blocks: Vec::new() }
}

fn reasons(answers: &[Result<Receipt, Error>]) -> Vec<Option<Reason>> {
    answers.iter().map(|answer| answer.as_ref().err().map(Error::reason)).collect()
}

/// A page that cannot be read, no room for a table, a right that was taken away: who needs it is refused, for as long as it
/// lasts, and whoever is written together with it is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cannot_do_for_one_it_does_for_the_others() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("neighbours", |_| {}).await else { return };
    for (n, (code, reason)) in [
        ("58030", Reason::ReadFailed),
        ("53100", Reason::StorageFull),
        ("42501", Reason::ReadFailed),
        ("XX000", Reason::ReadFailed),
        ("XX001", Reason::DataCorrupt),
    ]
    .into_iter()
    .enumerate()
    {
        end_the_first(&url, 1_000_000, "blobs", code, When::AtOnce).await;
        let other = account(&format!("bob{n}"));
        let mut group = vec![other.clone()];
        group.extend((0..4).map(|blob| put_blob(10 * (n as u8 + 1) + blob)));
        group.push(Mutation { key: key(2), ops: vec![Op::DeleteAccount], ..other });
        let answers = store.apply_many(group.clone()).await;
        let refused = Some(reason);
        assert_eq!(reasons(&answers), [None, refused, refused, refused, refused, None], "{code}: {answers:?}");
        end_the_first(&url, 0, "blobs", code, When::AtOnce).await;
        assert_eq!(reasons(&store.apply_many(group).await), [None; 6], "{code}: in the end");
    }
}

/// Each group would wait as long as a statement may take, and as long again for some of it one by one.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_behind_a_lock_waits_no_longer_than_the_first() {
    const GROUPS: usize = 8;
    const GROUP: usize = 512;
    let change = |options: &mut Options| {
        options.statement_timeout = Duration::from_secs(1);
        options.retry_for = Duration::from_secs(1);
    };
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("behind_lock", change).await else { return };
    let mutation = |n: usize| {
        let mut key = [7; 16];
        key[..8].copy_from_slice(&n.to_be_bytes());
        let ops = vec![Op::Emit(Announce::Account)];
        Mutation { did: scene::did("alice"), key: IdempotencyKey(key), ops, blocks: Vec::new() }
    };
    // It waits for the lock as well.
    let groups = async || {
        let counters = store.stats().await.unwrap().counters;
        counters.iter().find(|(name, _)| name == "cycles").unwrap().1
    };
    let before = groups().await;
    let mut lock = PgConnection::connect(&url).await.unwrap();
    let mut lock = lock.begin().await.unwrap();
    sqlx::query("LOCK TABLE events").execute(&mut *lock).await.unwrap();
    let answers = store.apply_many((0..GROUPS * GROUP).map(mutation).collect()).await;
    assert_eq!(reasons(&answers), vec![Some(Reason::Overloaded); GROUPS * GROUP]);
    lock.rollback().await.unwrap();
    let made = groups().await - before;
    assert!(made < 3, "{made} of {GROUPS} groups were tried");
    store.apply(mutation(0)).await.expect("it is not locked any more");
}
