//! A check of a store in which something is wrong.

use super::*;
use backend_api::VerifyLevel;

#[tokio::test]
async fn a_check_tells_of_every_account_whatever_is_wrong_with_another() {
    if !available() {
        return;
    }
    let database = database().await;
    let store = Postgres::open(options(database.url(), &Arc::default())).await.unwrap();
    for name in ["alice", "bob", "carol", "dave"] {
        let repo = SceneRepo::new(scene::did(name));
        let account = vec![create_account(name)];
        let first = Mutation { did: repo.did.clone(), key: IdempotencyKey([1; 16]), ops: account, blocks: vec![] };
        store.apply(first).await.unwrap();
        let content = scene::content(name).with_link(scene::link("subject", "did:plc:x"));
        let draft = repo.draft(&[scene::Write::Put(scene::path("app.bsky.feed.post/1"), content)]);
        store.apply(draft.mutation(IdempotencyKey([2; 16]))).await.unwrap();
    }
    assert_eq!(store.verify(VerifyLevel::Quick).await.unwrap().problems, Vec::<String>::new());
    let of = |name: &str| format!("(SELECT repo FROM accounts WHERE did = '{}')", scene::did(name));
    let damage = format!(
        "UPDATE accounts SET email = 'none' WHERE did = '{}'; UPDATE records SET mentions = '{{}}' WHERE repo = {}; \
         DELETE FROM links WHERE repo = {}; UPDATE repos SET records = 7 WHERE id = {}; \
         UPDATE blocks SET cid = '\\x00'::bytea || substring(cid FROM 2) WHERE repo = {}",
        scene::did("alice"),
        of("bob"),
        of("carol"),
        of("dave"),
        of("alice"),
    );
    sqlx::raw_sql(AssertSqlSafe(damage))
        .execute(&mut PgConnection::connect(&database.url()).await.unwrap())
        .await
        .unwrap();
    for level in [VerifyLevel::Quick, VerifyLevel::Deep] {
        let problems = store.verify(level).await.unwrap().problems;
        for (name, what) in [("alice", "e-mail"), ("bob", "mentions"), ("carol", "links"), ("dave", "counter")] {
            let did = scene::did(name);
            let is_told = problems.iter().any(|problem| problem.starts_with(did.as_str()) && problem.contains(what));
            assert!(is_told, "{level:?}: {name} and {what}: {problems:#?}");
        }
    }
}
