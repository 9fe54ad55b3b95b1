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

/// Anybody may ask for records and blocks: what an answer holds in memory must not grow with what is asked for.
#[tokio::test]
async fn pages_of_large_records_end_early_and_miss_none() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let record = |n: usize| json!({"n": n, "pad": vec![0; if n.is_multiple_of(3) { 200_000 } else { 10 }]});
    for n in 0..24 {
        host.put(&alice, POST, &format!("k{n:02}"), record(n)).await;
    }
    for reverse in [true, false] {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let reverse = reverse.to_string();
            let mut params =
                vec![("repo", "alice.test"), ("collection", POST), ("limit", "100"), ("reverse", &reverse)];
            params.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = host.query("com.atproto.repo.listRecords", &params).await;
            assert!(answer.body.len() < 1_500_000, "a page of {} bytes", answer.body.len());
            let page = answer.json();
            let records = page["records"].as_array().unwrap();
            seen.extend(records.iter().map(|record| record["value"]["n"].as_u64().unwrap()));
            assert!(!records.is_empty(), "after {seen:?}");
            match page.get("cursor") {
                Some(next) => cursor = Some(next.as_str().unwrap().to_owned()),
                None => break,
            }
        }
        let all: Vec<u64> = (0..24).collect();
        assert_eq!(seen, if reverse { all } else { all.into_iter().rev().collect() }, "reverse={reverse}");
    }
}

#[tokio::test]
async fn a_page_ends_with_the_last_record_and_gives_no_cursor() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    for n in 0..17 {
        host.put(&alice, POST, &format!("k{n:02}"), json!({"n": n})).await;
    }
    for (limit, count, goes_on) in [("16", 16, true), ("17", 17, false), ("100", 17, false), ("1", 1, true)] {
        let params = [("repo", "alice.test"), ("collection", POST), ("limit", limit)];
        let page = host.query("com.atproto.repo.listRecords", &params).await.json();
        assert_eq!(page["records"].as_array().unwrap().len(), count, "limit {limit}");
        assert_eq!(page.get("cursor").is_some(), goes_on, "limit {limit}");
    }
}

#[tokio::test]
async fn blocks_of_many_megabytes_are_given_by_cid() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let mut cids = Vec::new();
    for n in 0..5 {
        let written = host.create(&alice, POST, json!({"n": n, "text": "a".repeat(900_000)})).await;
        cids.push(written["cid"].as_str().unwrap().to_owned());
    }
    let mut params = vec![("did", alice.did.as_str())];
    params.extend(cids.iter().map(|cid| ("cids", cid.as_str())));
    let car = host.query("com.atproto.sync.getBlocks", &params).await.car();
    assert_eq!(car.cids.iter().map(ToString::to_string).collect::<Vec<_>>(), cids);
}
