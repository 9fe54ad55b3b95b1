//! Every `#commit` is what Sync 1.1 says: signed, complete, and a proof of itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Host, POST, check_commit, public_key};

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Random batches over a few hundred keys: every event is checked by two implementations of the tree, and the repo is in
/// the end what the batches made of it.
#[tokio::test]
async fn every_commit_of_a_random_history_can_be_checked_and_taken_back() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let document =
        host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json()["didDoc"].clone();
    let key = public_key(&document);
    let mut numbers = Numbers(42);
    let mut model: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..120 {
        let mut writes = BTreeMap::new();
        for _ in 0..1 + numbers.below(if round % 10 == 0 { 60 } else { 4 }) {
            let collection = ["app.bsky.feed.post", "app.bsky.feed.like", "com.example.x"][numbers.below(3) as usize];
            let rkey = format!("k{}", numbers.below(150));
            let path = format!("{collection}/{rkey}");
            let mut write = json!({"collection": collection, "rkey": rkey});
            let kind = match (model.contains_key(&path), numbers.below(3)) {
                (true, 0) => "delete",
                (true, _) => "update",
                (false, _) => "create",
            };
            write["$type"] = format!("com.atproto.repo.applyWrites#{kind}").into();
            if kind != "delete" {
                write["value"] = json!({"n": numbers.below(1_000_000), "pad": "x".repeat(numbers.below(50) as usize)});
            }
            writes.insert(path, write);
        }
        for (path, write) in &writes {
            match write.get("value") {
                Some(value) => model.insert(path.clone(), value["n"].as_u64().unwrap()),
                None => model.remove(path),
            };
        }
        let body = json!({"repo": alice.did, "writes": writes.into_values().collect::<Vec<Value>>()});
        host.call("com.atproto.repo.applyWrites", Some(&alice.access), body).await.json();
    }
    let head = host.head().await;
    let mut since = None;
    let mut checked = 0;
    for frame in host.subscribe(Some(0)).await.up_to(head).await {
        if frame.kind != "#commit" {
            continue;
        }
        check_commit(&frame, &key).await;
        let expected = since.as_ref().map(|(rev, _): &(String, _)| rev.as_str());
        assert_eq!(
            frame.body.get("since").map(|value| matches!(value, ipld_core::ipld::Ipld::Null)),
            Some(expected.is_none())
        );
        if let Some((rev, data)) = &since {
            assert_eq!(frame.text("since"), rev);
            assert_eq!(frame.cid("prevData"), Some(*data), "the chain of trees");
        }
        since = Some((frame.text("rev").to_owned(), frame.car().commit().data));
        checked += 1;
    }
    assert!(checked > 110, "{checked} commits");
    let car = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    let found: BTreeMap<String, u64> =
        car.records().into_iter().map(|(path, cid)| (path, car.json(&cid)["n"].as_u64().unwrap())).collect();
    assert_eq!(found, model);
}

#[tokio::test]
async fn a_record_that_was_there_before_is_carried_again() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let key =
        public_key(&host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json()["didDoc"]);
    for (rkey, n) in [("a", 1), ("b", 1), ("a", 2), ("a", 1)] {
        host.put(&alice, POST, rkey, json!({"n": n})).await;
    }
    host.delete(&alice, POST, "b").await;
    host.put(&alice, POST, "b", json!({"n": 1})).await;
    for frame in host.subscribe(Some(0)).await.up_to(host.head().await).await {
        if frame.kind == "#commit" {
            check_commit(&frame, &key).await;
        }
    }
}

/// The store agrees with itself after all this.
#[tokio::test]
async fn the_store_verifies_after_writes_of_every_kind() {
    let host = Host::start().await;
    let (alice, bob) = (host.join("alice").await, host.join("bob").await);
    for n in 0..30 {
        host.put(&alice, POST, &format!("k{}", n % 7), json!({"n": n % 3})).await;
        host.put(&bob, POST, &format!("k{n}"), json!({"n": 0})).await;
        if n % 5 == 0 {
            host.delete(&alice, POST, &format!("k{}", n % 7)).await;
        }
    }
    let report = host.backend.verify(backend_api::VerifyLevel::Deep).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.repos == 2 && report.records >= 30, "{report:?}");
}
