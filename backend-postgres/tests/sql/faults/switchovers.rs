//! The name leads for a while to a server that is not the one that takes the writes.

use super::*;
use backend_api::{At, Changes as _, Repos as _};
use sqlx::AssertSqlSafe;

/// Connections that lead to the other server: the listener makes some of them.
const LED: u32 = 8;
/// Who reads at the same time, each on a connection of its own.
const READERS: usize = 6;

/// Another server, with a store of the same name that is behind.
async fn behind(name: &str) -> Option<(Local, String)> {
    let server = local(Durability::Fast, "")?;
    let url = database(&server, name).await;
    open(url.clone(), |_| {}).await.apply(account("alice")).await.unwrap();
    Some((server, url))
}

/// All of them find what was acknowledged, and the other server was come by.
async fn reads_find_what_was_acknowledged<F: Future<Output = ()> + Send + 'static>(
    scene: &Scene,
    other: &Local,
    read: impl Fn(Arc<Postgres>) -> F,
) {
    scene.proxy.lead(LED, other.socket().to_owned());
    end_connections(&scene.url).await;
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        reading.spawn(read(Arc::clone(&scene.store)));
    }
    while let Some(ended) = reading.join_next().await {
        ended.unwrap();
    }
    let all = async {
        while !scene.proxy.has_led() {
            end_connections(&scene.url).await;
            read(Arc::clone(&scene.store)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("as many connections are made");
    read(Arc::clone(&scene.store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_not_read_from() {
    let Some((other, url)) = behind("switched").await else { return };
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let set = "ALTER DATABASE switched SET default_transaction_read_only = on";
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
    let Some(scene) = Scene::begin("switched", |_| {}).await else { return };
    scene.store.apply(commit(&SceneRepo::new(scene::did("alice")), 2).0).await.unwrap();
    let read = async |store: Arc<Postgres>| {
        let repo = store.repo(&scene::did("alice"), At::Head).await.unwrap();
        assert!(repo.is_some(), "the commit was acknowledged");
    };
    reads_find_what_was_acknowledged(&scene, &other, move |store| async move { read(store).await }).await;
    scene.proxy.lead(1, other.socket().to_owned());
    let copy = backend_api::Snapshots::snapshot(&*scene.store).await;
    assert!(copy.is_err(), "nor is a copy made of it");
}

/// One that was cut off goes on as if nothing had happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_behind_is_not_read_from() {
    let Some((other, _)) = behind("cut").await else { return };
    let Some(scene) = Scene::begin("cut", |_| {}).await else { return };
    scene.store.apply(commit(&SceneRepo::new(scene::did("alice")), 2).0).await.unwrap();
    let acknowledged = scene.store.position().await.unwrap();
    reads_find_what_was_acknowledged(&scene, &other, move |store| async move {
        assert_eq!(head(&store).await, 1);
        assert_eq!(store.position().await.unwrap(), acknowledged);
        let events = store.events(backend_api::Seq::new(1).unwrap(), 10, 1 << 20).await;
        assert_eq!(events.expect("the cursor is none of the future"), Vec::new());
    })
    .await;
}

/// A server that took over and had lost the last turns may have come to the same turn by another way.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_was_come_to_by_another_way_is_another_one() {
    let Some(scene) = Scene::begin("turned", |_| {}).await else { return };
    let (first, repo) = commit(&SceneRepo::new(scene::did("alice")), 2);
    scene.store.apply(first).await.unwrap();
    let mut connection = PgConnection::connect(&scene.url).await.unwrap();
    sqlx::raw_sql("UPDATE store SET seq = seq + 5").execute(&mut connection).await.unwrap();
    let receipt = scene.store.apply(commit(&repo, 3).0).await.unwrap();
    assert_eq!(receipt.first_seq.get(), 7, "no number is given out twice");
}
