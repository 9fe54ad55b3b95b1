//! What passes: the server ends a transaction for another's sake, or the connection goes. It is done again, and once.

use std::time::Duration;

use backend_api::{Committed, Maintenance as _, Pos, Reason, Writes as _};
use conformance::scene;
use conformance::scene::SceneRepo;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::proxy::{Fault, Moment};
use super::{COMMIT, Scene, commit, head, with_row};

/// Lets the server end the first transactions that change a table: when they do, or when they commit.
pub(super) async fn end_the_first(url: &str, n: u32, table: &str, code: &str, when: When) {
    let trigger = match when {
        When::AtOnce => format!("CREATE TRIGGER ends BEFORE INSERT OR UPDATE OR DELETE ON {table}"),
        When::AtCommit => format!(
            "CREATE CONSTRAINT TRIGGER ends AFTER INSERT OR UPDATE OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED"
        ),
    };
    // What a sequence has given stays given, whatever becomes of the transaction.
    let sql = format!(
        "DROP TRIGGER IF EXISTS ends ON {table};
         DROP SEQUENCE IF EXISTS ended;
         CREATE SEQUENCE ended;
         CREATE OR REPLACE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('ended') <= {n} THEN RAISE EXCEPTION 'ended' USING ERRCODE = '{code}'; END IF;
             RETURN coalesce(NEW, OLD);
         END $$;
         {trigger} FOR EACH ROW EXECUTE FUNCTION end_it()"
    );
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    AtOnce,
    AtCommit,
}

pub(super) async fn retries(scene: &Scene) -> u64 {
    let counters = scene.store.stats().await.unwrap().counters;
    counters.iter().find(|(name, _)| name == "retries").unwrap().1
}

/// serialization_failure, deadlock_detected, lock_not_available.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_ends_for_anothers_sake_is_written_the_next_time() {
    let Some(scene) = Scene::begin("passing", |_| {}).await else { return };
    let mut repo = SceneRepo::new(scene::did("alice"));
    let mut n = 2;
    for code in ["40001", "40P01", "55P03"] {
        for when in [When::AtOnce, When::AtCommit] {
            for several_statements in [false, true] {
                let (before, retried) = (head(&scene.store).await, retries(&scene).await);
                let (mutation, after) = commit(&repo, n);
                let mutation = if several_statements { with_row(mutation) } else { mutation };
                end_the_first(&scene.url, 3, "store", code, when).await;
                let receipt = scene.store.apply(mutation).await.unwrap_or_else(|e| panic!("{code} {when:?}: {e}"));
                assert_eq!(
                    (receipt.first_seq.get(), head(&scene.store).await),
                    (before + 1, before + 1),
                    "{code} {when:?}"
                );
                assert_eq!(retries(&scene).await - retried, 3, "{code} {when:?}: none of them by chance");
                repo = after;
                n += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_given_up_and_nothing_of_it_is_there() {
    let retry_for = Duration::from_millis(100);
    let Some(scene) = Scene::begin("lasting", |options| options.retry_for = retry_for).await else { return };
    let before = head(&scene.store).await;
    for when in [When::AtOnce, When::AtCommit] {
        end_the_first(&scene.url, 1_000_000, "store", "40P01", when).await;
        let (mutation, _) = commit(&SceneRepo::new(scene::did("alice")), 2);
        let answer = tokio::time::timeout(100 * retry_for, scene.store.apply(mutation)).await;
        let error = answer.expect("it gives up in time").unwrap_err();
        assert_eq!((error.reason(), error.committed()), (Reason::ReadFailed, Committed::No), "{when:?}: {error}");
        assert!(error.detail().contains("40P01"), "{error}");
        assert_eq!(head(&scene.store).await, before, "{when:?}");
    }
    end_the_first(&scene.url, 0, "store", "40P01", When::AtOnce).await;
    let (mutation, _) = commit(&SceneRepo::new(scene::did("alice")), 2);
    scene.store.apply(mutation).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_the_fence_are_changed_the_next_time() {
    let Some(scene) = Scene::begin("slots", |_| {}).await else { return };
    let store = &scene.store;
    let begun = Fault { words: COMMIT, moment: Moment::After, comes_back: true, says: None };
    for lost in [false, true] {
        let fail = async || {
            if lost {
                scene.proxy.set(begun);
            } else {
                end_the_first(&scene.url, 2, "store", "40001", When::AtOnce).await;
            }
        };
        fail().await;
        assert_eq!(store.register_slot("reader").await.unwrap(), Pos(1), "lost: {lost}");
        fail().await;
        store.advance_slot("reader", Pos(1)).await.unwrap();
        fail().await;
        store.drop_slot("reader").await.unwrap_or_else(|e| panic!("lost: {lost}: {e}"));
        assert!(!lost || scene.proxy.has_happened());
        assert_eq!(store.drop_slot("reader").await.unwrap_err().reason(), Reason::RowMissing, "lost: {lost}");
    }
    end_the_first(&scene.url, 2, "store", "40001", When::AtOnce).await;
    store.fence().await.unwrap();
    let (mutation, _) = commit(&SceneRepo::new(scene::did("alice")), 2);
    assert_eq!(store.apply(mutation).await.unwrap_err().reason(), Reason::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_again_ends_with_the_store() {
    let Some(scene) = Scene::begin("ending", |options| options.retry_for = Duration::from_secs(600)).await else {
        return;
    };
    end_the_first(&scene.url, 1_000_000, "store", "40001", When::AtOnce).await;
    let mut connection = PgConnection::connect(&scene.url).await.unwrap();
    let close = async {
        let attempts = "SELECT 1 FROM ended WHERE last_value > 2";
        while sqlx::query(attempts).fetch_optional(&mut connection).await.unwrap().is_none() {}
        scene.store.close().await.unwrap();
    };
    let registering = async { tokio::join!(scene.store.register_slot("reader"), close).0 };
    let answer = tokio::time::timeout(Duration::from_secs(60), registering).await;
    assert_eq!(answer.expect("it ends in time").unwrap_err().reason(), Reason::Closed);
}
