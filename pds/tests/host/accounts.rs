//! Creating and deleting accounts.

use serde_json::{Value, json};

use crate::support::{Host, POST, Person};

async fn create(host: &Host, body: Value) -> crate::support::Answer {
    host.call("com.atproto.server.createAccount", None, body).await
}

#[tokio::test]
async fn an_account_is_created_with_all_that_belongs_to_it() {
    let host = Host::start().await;
    let body = json!({"handle": "Alice.test", "email": "Alice@Example.com", "password": "correct horse"});
    let answer = create(&host, body).await.json();
    let alice = Person::from_json(&answer);
    assert_eq!(alice.handle, "alice.test");
    assert!(alice.did.as_str().starts_with("did:plc:") && alice.did.as_str().len() == 32, "{}", alice.did);
    assert_eq!(answer["didDoc"]["id"], alice.did.as_str());

    let session = host.query_as("com.atproto.server.getSession", &[], Some(&alice.access)).await.json();
    assert_eq!(session["did"], alice.did.as_str());
    assert_eq!(session["email"], "alice@example.com");
    assert_eq!((&session["active"], &session["emailConfirmed"]), (&json!(true), &json!(false)));
    assert!(session.get("accessJwt").is_none());
    // An empty repo is a repo.
    assert!(host.latest_commit(&alice).await["rev"].is_string());
    let described = host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json();
    assert_eq!((&described["collections"], &described["did"]), (&json!([]), &json!(alice.did)));
}

#[tokio::test]
async fn creating_an_account_is_one_mutation_with_its_events() {
    let host = Host::start().await;
    let before = host.backend.position().await.unwrap();
    let mut firehose = host.subscribe(Some(0)).await;
    let alice = host.join("alice").await;
    assert_eq!(host.backend.position().await.unwrap().0, before.0 + 1);
    let frames = firehose.up_to(4).await;
    let kinds: Vec<&str> = frames.iter().map(|frame| frame.kind.as_str()).collect();
    assert_eq!(kinds, ["#identity", "#account", "#commit", "#sync"]);
    assert_eq!(frames[0].text("handle"), "alice.test");
    assert!(frames.iter().all(|frame| {
        let field = if frame.kind == "#commit" { "repo" } else { "did" };
        frame.text(field) == alice.did.as_str()
    }));
    assert_eq!(frames[2].cid("commit"), Some(frames[3].car().root()));
}

#[tokio::test]
async fn names_are_taken_once() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let body = |handle: &str, email: &str| json!({"handle": handle, "email": email, "password": "x"});
    let before = host.backend.position().await.unwrap();
    create(&host, body("ALICE.test", "other@example.com")).await.refused(400, "HandleNotAvailable");
    create(&host, body("bob.test", "ALICE@example.com")).await.refused(400, "InvalidRequest");
    assert_eq!(host.backend.position().await.unwrap(), before, "a refusal leaves nothing");
    create(&host, body("bob.test", "bob@example.com")).await.json();
    let found = host.query("com.atproto.identity.resolveHandle", &[("handle", "alice.test")]).await.json();
    assert_eq!(found["did"], alice.did.as_str());
}

#[tokio::test]
async fn a_handle_has_one_winner_of_many() {
    let host = Host::start().await;
    let tries = (0..8).map(|n| {
        let email = format!("{n}@example.com");
        create(&host, json!({"handle": "alice.test", "email": email, "password": "x"}))
    });
    let answers = futures::future::join_all(tries).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for answer in lost {
        answer.refused(400, "HandleNotAvailable");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let host = Host::start().await;
    for (body, error) in [
        (json!({"handle": "alice", "password": "x"}), "InvalidHandle"),
        (json!({"handle": "al ice.test", "password": "x"}), "InvalidHandle"),
        (json!({"handle": "alice.example.com", "password": "x"}), "UnsupportedDomain"),
        (json!({"handle": "alice.test"}), "InvalidPassword"),
        (json!({"handle": "alice.test", "password": ""}), "InvalidPassword"),
        (json!({"handle": "alice.test", "password": "x".repeat(257)}), "InvalidPassword"),
        (json!({"handle": "alice.test", "password": "x", "email": "nobody"}), "InvalidRequest"),
        (json!({"handle": "alice.test", "password": "x", "did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}), "InvalidRequest"),
        (json!({"password": "x"}), "InvalidRequest"),
    ] {
        create(&host, body).await.refused(400, error);
    }
    assert_eq!(host.head().await, 0, "nobody heard of it");
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_name_is_free() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    host.create(&alice, POST, json!({"text": "hi"})).await;
    let mut firehose = host.subscribe(None).await;
    let delete = |password: &str| {
        host.call(
            "com.atproto.server.deleteAccount",
            None,
            json!({"did": alice.did, "password": password, "token": "-"}),
        )
    };
    delete("wrong").await.refused(401, "AuthenticationRequired");
    delete("correct horse").await.json();
    let frame = firehose.frame().await;
    assert_eq!((frame.kind.as_str(), frame.text("status")), ("#account", "deleted"));

    let did = [("did", alice.did.as_str())];
    host.query("com.atproto.sync.getRepo", &did).await.refused(400, "RepoNotFound");
    host.query("com.atproto.sync.getRepoStatus", &did).await.refused(400, "RepoNotFound");
    host.query("com.atproto.repo.describeRepo", &[("repo", alice.did.as_str())]).await.refused(400, "RepoNotFound");
    host.query_as("com.atproto.server.getSession", &[], Some(&alice.access)).await.refused(400, "ExpiredToken");
    host.call("com.atproto.server.refreshSession", Some(&alice.refresh), Value::Null)
        .await
        .refused(400, "ExpiredToken");
    delete("correct horse").await.refused(401, "AuthenticationRequired");
    let other = host.join("alice").await;
    assert_ne!(other.did, alice.did);
}

#[tokio::test]
async fn accounts_and_sessions_survive_a_restart() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let written = host.create(&alice, POST, json!({"text": "before"})).await;
    let host = host.restart().await;
    assert_eq!(host.latest_commit(&alice).await["cid"], written["commit"]["cid"]);
    host.create(&alice, POST, json!({"text": "after"})).await;
    let listed =
        host.query("com.atproto.repo.listRecords", &[("repo", "alice.test"), ("collection", POST)]).await.json();
    assert_eq!(listed["records"].as_array().unwrap().len(), 2);
    assert_eq!(listed["records"][0]["value"]["text"], "after");
}
