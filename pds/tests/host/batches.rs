//! `applyWrites`: many records in one commit.

use serde_json::{Value, json};

use crate::support::{Answer, Host, POST, Person};

fn create(rkey: &str, value: Value) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "rkey": rkey, "value": value})
}

fn update(rkey: &str, value: Value) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#update", "collection": POST, "rkey": rkey, "value": value})
}

fn delete(rkey: &str) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#delete", "collection": POST, "rkey": rkey})
}

async fn apply(host: &Host, person: &Person, writes: Vec<Value>) -> Answer {
    let body = json!({"repo": person.did, "writes": writes});
    host.call("com.atproto.repo.applyWrites", Some(&person.access), body).await
}

async fn keys(host: &Host, person: &Person) -> Vec<String> {
    let car = host.query("com.atproto.sync.getRepo", &[("did", person.did.as_str())]).await.car();
    car.records().into_keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn all_writes_are_one_commit_and_one_event() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    apply(&host, &alice, vec![create("a", json!({"n": 1})), create("b", json!({"n": 1}))]).await.json();
    let mut firehose = host.subscribe(None).await;
    let without_key = json!({"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "value": {"n": 3}});
    let writes = vec![update("a", json!({"n": 2})), delete("b"), create("c", json!({"n": 1})), without_key];
    let answer = apply(&host, &alice, writes).await.json();
    let kinds: Vec<&str> = answer["results"].as_array().unwrap().iter().map(|r| r["$type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["updateResult", "deleteResult", "createResult", "createResult"]
            .map(|k| format!("com.atproto.repo.applyWrites#{k}"))
    );
    assert_eq!(answer["results"][0]["uri"], format!("at://{}/{POST}/a", alice.did));
    assert_eq!(answer["commit"], host.latest_commit(&alice).await);
    let frame = firehose.frame().await;
    let mut actions: Vec<String> = frame.ops().into_iter().map(|(action, ..)| action).collect();
    actions.sort();
    assert_eq!(actions, ["create", "create", "delete", "update"]);
    assert_eq!(keys(&host, &alice).await.len(), 3);
}

#[tokio::test]
async fn one_bad_write_spoils_all() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    apply(&host, &alice, vec![create("a", json!({"n": 1}))]).await.json();
    let head = host.latest_commit(&alice).await;
    for bad in [
        create("a", json!({"n": 2})),
        update("nothing", json!({"n": 2})),
        delete("nothing"),
        create("f", json!({"n": 0.5})),
        create("a/b", json!({})),
        json!({"$type": "com.atproto.repo.applyWrites#upsert", "collection": POST, "rkey": "x", "value": {}}),
        json!({"collection": POST, "rkey": "x", "value": {}}),
    ] {
        apply(&host, &alice, vec![create("new", json!({"n": 1})), bad]).await.refused(400, "InvalidRequest");
    }
    assert_eq!(host.latest_commit(&alice).await, head);
    assert_eq!(keys(&host, &alice).await, ["a"]);
}

/// LESSONS A21: create and delete of one key in one batch. The last write wins, and the event says what came of it.
#[tokio::test]
async fn writes_to_one_key_in_one_batch_are_taken_in_order() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let one = json!({"n": 1});
    apply(&host, &alice, vec![create("kept", one.clone())]).await.json();
    let mut firehose = host.subscribe(None).await;
    let writes = vec![
        create("gone", json!({"n": 1})),
        update("gone", json!({"n": 2})),
        delete("gone"),
        delete("kept"),
        create("kept", json!({"n": 9})),
    ];
    apply(&host, &alice, writes).await.json();
    assert_eq!(keys(&host, &alice).await, ["kept"]);
    let frame = firehose.frame().await;
    let ops: Vec<(String, String)> = frame.ops().into_iter().map(|(action, path, ..)| (action, path)).collect();
    assert_eq!(ops, [("update".to_owned(), format!("{POST}/kept"))]);

    // What comes to nothing is no commit.
    let head = host.latest_commit(&alice).await;
    let answer = apply(&host, &alice, vec![create("gone", one.clone()), delete("gone")]).await.json();
    assert!(answer.get("commit").is_none());
    assert_eq!(apply(&host, &alice, vec![]).await.json(), json!({"results": []}));
    assert_eq!(host.latest_commit(&alice).await, head);
}

#[tokio::test]
async fn a_batch_holds_to_swap_commit() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let first = host.latest_commit(&alice).await;
    let swap = |cid: &Value, key: &str| {
        let body = json!({"repo": alice.did, "writes": [create(key, json!({}))], "swapCommit": cid});
        host.call("com.atproto.repo.applyWrites", Some(&alice.access), body)
    };
    swap(&first["cid"], "a").await.json();
    swap(&first["cid"], "b").await.refused(400, "InvalidSwap");
    assert_eq!(keys(&host, &alice).await, ["a"]);
}
