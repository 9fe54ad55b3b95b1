//! At the limit it is taken, above it refused, and nothing is half done.

use serde_json::{Value, json};

use crate::support::{Host, POST, check_commit, public_key};

fn create(n: usize, value: &Value) -> Value {
    json!({"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "rkey": format!("k{n}"), "value": value})
}

#[tokio::test]
async fn two_hundred_writes_are_one_commit_and_one_more_is_none() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let batch = |count: usize| {
        let writes: Vec<Value> = (0..count).map(|n| create(n, &json!({"n": n}))).collect();
        host.call("com.atproto.repo.applyWrites", Some(&alice.access), json!({"repo": alice.did, "writes": writes}))
    };
    batch(201).await.refused(400, "InvalidRequest");
    let mut firehose = host.subscribe(None).await;
    batch(200).await.json();
    let frame = firehose.frame().await;
    assert_eq!(frame.ops().len(), 200);
    let described = host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json();
    check_commit(&frame, &public_key(&described["didDoc"])).await;
}

#[tokio::test]
async fn a_record_of_a_million_bytes_is_the_largest() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    // The map, its keys, `$type` and the header of a text of more than 64 KiB.
    let overhead = 1 + 6 + 1 + POST.len() + 5 + 5;
    let create = |bytes: usize| {
        let record = json!({"text": "a".repeat(bytes - overhead)});
        let body = json!({"repo": alice.did, "collection": POST, "record": record});
        host.call("com.atproto.repo.createRecord", Some(&alice.access), body)
    };
    let mut firehose = host.subscribe(None).await;
    let cid = create(1_000_000).await.json()["cid"].as_str().unwrap().parse().unwrap();
    assert_eq!(firehose.frame().await.car().block(&cid).len(), 1_000_000);
    create(1_000_001).await.refused(413, "PayloadTooLarge");
}

#[tokio::test]
async fn a_commit_of_more_than_two_million_bytes_is_refused() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let batch = |count: usize| {
        let writes: Vec<Value> = (0..count).map(|n| create(n, &json!({"n": n, "text": "a".repeat(900_000)}))).collect();
        host.call("com.atproto.repo.applyWrites", Some(&alice.access), json!({"repo": alice.did, "writes": writes}))
    };
    let before = host.latest_commit(&alice).await;
    batch(3).await.refused(413, "PayloadTooLarge");
    assert_eq!(host.latest_commit(&alice).await, before);
    batch(2).await.json();
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let long = json!({"repo": alice.did, "collection": POST, "record": {"text": "a".repeat(5_000_000)}});
    host.call("com.atproto.repo.createRecord", Some(&alice.access), long).await.refused(413, "PayloadTooLarge");
    let long = json!({"identifier": "a".repeat(100_000), "password": "x"});
    host.call("com.atproto.server.createSession", None, long).await.refused(413, "PayloadTooLarge");
}
