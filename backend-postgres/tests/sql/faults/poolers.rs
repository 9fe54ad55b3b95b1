//! What stands between a store and its server and does not pass everything on, and a server that others have filled.

use super::*;
use backend_api::AccountName;
use backend_api::Accounts as _;

/// With the settings the schema would be gone, and all stores of the database would be one.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_drops_settings_is_refused() {
    let Some(server) = local(Durability::Fast, "") else { return };
    let proxy = Proxy::start(server.socket().to_owned());
    let url = database(&server, "dropped").await;
    proxy.drop_settings();
    for schema in ["public", "one"] {
        let mut options = Options::new(proxy.url("dropped"));
        options.schema = schema.into();
        let refused = Postgres::open(options).await.err().unwrap_or_else(|| panic!("{schema} is refused"));
        assert_eq!(refused.reason(), Reason::BadRequest, "{refused}");
        assert!(refused.detail().contains("pooler"), "{refused}");
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables = sqlx::query("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'one')");
    assert_eq!(tables.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0), 0, "nothing was made");
}

/// The queue is one for the whole server: somebody else's listener who does not read fills it. Nobody needs to be woken.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_notifications_keeps_nobody_from_writing() {
    let change = |options: &mut Options| options.retry_for = Duration::ZERO;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("filled", change).await else { return };
    let other = open(url, |_| {}).await;
    let says = Some(("ERROR", "54000"));
    proxy.set(Fault { words: GROUP, moment: Moment::After, comes_back: true, says });
    let mutation = commit(&SceneRepo::new(scene::did("alice")), 2).0;
    let receipt = store.apply(mutation.clone()).await.unwrap();
    assert!(proxy.has_happened());
    assert_eq!(store.apply(mutation).await.unwrap(), receipt);
    let seq = tokio::time::timeout(Duration::from_secs(30), other.wait_events(backend_api::Seq::ZERO)).await;
    assert_eq!(seq.expect("it asks").unwrap().get(), 1);
    assert!(other.account(&AccountName::Did(scene::did("alice"))).await.unwrap().is_some());
}
