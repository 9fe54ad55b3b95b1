//! One record at a time.

use backend_api::Tid;
use serde_json::{Value, json};

use crate::support::{Host, POST, Person};

async fn get(host: &Host, repo: &str, rkey: &str) -> crate::support::Answer {
    host.query("com.atproto.repo.getRecord", &[("repo", repo), ("collection", POST), ("rkey", rkey)]).await
}

fn rkey(written: &Value) -> String {
    written["uri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let created = host.create(&alice, POST, json!({"text": "one", "createdAt": "2026-01-01T00:00:00Z"})).await;
    let key = rkey(&created);
    key.parse::<Tid>().expect("a record key that was not chosen is a TID");
    assert_eq!(created["uri"], format!("at://{}/{POST}/{key}", alice.did));
    assert_eq!(created["commit"], host.latest_commit(&alice).await);
    for repo in ["alice.test", alice.did.as_str()] {
        let read = get(&host, repo, &key).await.json();
        assert_eq!((&read["uri"], &read["cid"]), (&created["uri"], &created["cid"]));
        assert_eq!(read["value"], json!({"$type": POST, "text": "one", "createdAt": "2026-01-01T00:00:00Z"}));
    }
    let changed = host.put(&alice, POST, &key, json!({"text": "two"})).await;
    assert_ne!(changed["cid"], created["cid"]);
    assert_eq!(get(&host, "alice.test", &key).await.json()["value"]["text"], "two");
    let old = created["cid"].as_str().unwrap();
    let params = [("repo", "alice.test"), ("collection", POST), ("rkey", key.as_str()), ("cid", old)];
    host.query("com.atproto.repo.getRecord", &params).await.refused(400, "RecordNotFound");

    let deleted = host.delete(&alice, POST, &key).await;
    assert_eq!(deleted["commit"], host.latest_commit(&alice).await);
    get(&host, "alice.test", &key).await.refused(400, "RecordNotFound");
    // A second time there is nothing to do, and no commit.
    assert_eq!(host.delete(&alice, POST, &key).await, json!({}));
    assert_eq!(deleted["commit"], host.latest_commit(&alice).await);
}

#[tokio::test]
async fn revs_increase_and_keys_sort_by_time() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let (mut revs, mut keys) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let created = host.create(&alice, POST, json!({"n": n})).await;
        revs.push(created["commit"]["rev"].as_str().unwrap().to_owned());
        keys.push(rkey(&created));
    }
    assert!(revs.is_sorted_by(|a, b| a < b) && keys.is_sorted_by(|a, b| a < b), "{revs:?} {keys:?}");
}

#[tokio::test]
async fn every_value_of_the_data_model_comes_back() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let cid = backend_api::Cid::of_block(b"x").to_string();
    let record = json!({
        "$type": POST, "unicode": "π🦀\u{0}", "int": -9_007_199_254_740_993_i64, "null": null, "yes": true,
        "list": [1, [2, {"three": []}]], "bytes": {"$bytes": "AAEC/w"}, "link": {"$link": cid}, "": "an empty key",
    });
    let key = rkey(&host.create(&alice, POST, record.clone()).await);
    assert_eq!(get(&host, "alice.test", &key).await.json()["value"], record);
}

#[tokio::test]
async fn a_key_can_be_chosen_but_not_taken_twice() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let create = |rkey: &str| {
        let body = json!({"repo": "alice.test", "collection": POST, "rkey": rkey, "record": {"text": rkey}});
        host.call("com.atproto.repo.createRecord", Some(&alice.access), body)
    };
    let head = create("self").await.json()["commit"].clone();
    create("self").await.refused(400, "InvalidRequest");
    for bad in ["", ".", "..", "a/b", "a b", "é", &"k".repeat(513)] {
        create(bad).await.refused(400, "InvalidRequest");
    }
    create("a:b~c_d-e.f").await.json();
    assert_eq!(get(&host, "alice.test", "self").await.json()["value"]["text"], "self");
    assert_ne!(host.latest_commit(&alice).await, head);
}

#[tokio::test]
async fn swaps_are_held_to() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let first = host.put(&alice, POST, "a", json!({"n": 1})).await;
    let stale = host.put(&alice, POST, "a", json!({"n": 2})).await;
    let current = host.put(&alice, POST, "a", json!({"n": 3})).await;
    let call = |method: &'static str, more: Value| {
        let mut body = json!({"repo": "alice.test", "collection": POST, "rkey": "a", "record": {"n": 4}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.call(method, Some(&alice.access), body)
    };
    let (put, delete) = ("com.atproto.repo.putRecord", "com.atproto.repo.deleteRecord");
    for method in [put, delete] {
        call(method, json!({"swapRecord": stale["cid"]})).await.refused(400, "InvalidSwap");
        call(method, json!({"swapCommit": stale["commit"]["cid"]})).await.refused(400, "InvalidSwap");
        call(method, json!({"swapRecord": "bafy"})).await.refused(400, "InvalidRequest");
        call(method, json!({"swapCommit": 1})).await.refused(400, "InvalidRequest");
    }
    call(put, json!({"swapRecord": null})).await.refused(400, "InvalidSwap");
    let create = json!({"rkey": "b", "swapCommit": first["commit"]["cid"]});
    call("com.atproto.repo.createRecord", create).await.refused(400, "InvalidSwap");
    assert_eq!(host.latest_commit(&alice).await, current["commit"], "nothing was written so far");

    let put = call(put, json!({"swapRecord": current["cid"], "swapCommit": current["commit"]["cid"]})).await.json();
    let swaps = json!({"swapRecord": put["cid"], "swapCommit": put["commit"]["cid"]});
    assert!(call(delete, swaps).await.json()["commit"].is_object());
    call("com.atproto.repo.putRecord", json!({"swapRecord": null})).await.json();
}

#[tokio::test]
async fn putting_what_is_there_already_makes_no_commit() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let first = host.put(&alice, POST, "a", json!({"n": 1})).await;
    let head = host.head().await;
    let again = host.put(&alice, POST, "a", json!({"n": 1})).await;
    assert_eq!(again["cid"], first["cid"]);
    assert!(again.get("commit").is_none());
    assert_eq!(host.head().await, head);
}

#[tokio::test]
async fn what_cannot_be_a_record_is_refused() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let head = host.latest_commit(&alice).await;
    for (record, place) in [
        (json!({"$type": "app.bsky.feed.like"}), "$type"),
        (json!({"$type": 1}), "$type"),
        (json!({"f": 0.5}), "record.f"),
        (json!({"l": {"$link": "x"}}), "record.l"),
        (json!({"b": {"$type": "blob"}}), "blob"),
        (json!(["list"]), "record"),
        (json!("text"), "record"),
    ] {
        let body = json!({"repo": "alice.test", "collection": POST, "record": record});
        let message = host.call("com.atproto.repo.createRecord", Some(&alice.access), body).await;
        let message = message.refused(400, "InvalidRequest");
        assert!(message.contains(place), "{message}");
    }
    for collection in ["posts", "a.b", "app.bsky.feed.9post", ""] {
        let body = json!({"repo": "alice.test", "collection": collection, "record": {}});
        host.call("com.atproto.repo.createRecord", Some(&alice.access), body).await.refused(400, "InvalidRequest");
    }
    let body = json!({"repo": "alice.test", "collection": POST, "record": {}, "validate": true});
    host.call("com.atproto.repo.createRecord", Some(&alice.access), body).await.refused(400, "InvalidRequest");
    assert_eq!(host.latest_commit(&alice).await, head);
}

#[tokio::test]
async fn only_the_owner_writes() {
    let host = Host::start().await;
    let (alice, bob) = (host.join("alice").await, host.join("bob").await);
    let before = host.latest_commit(&alice).await;
    for method in ["createRecord", "putRecord", "deleteRecord"] {
        let method = format!("com.atproto.repo.{method}");
        let body = json!({"repo": alice.did, "collection": POST, "rkey": "a", "record": {"text": "mine"}});
        host.call(&method, Some(&bob.access), body.clone()).await.refused(403, "AuthorizationError");
        host.call(&method, None, body.clone()).await.refused(401, "AuthMissing");
        host.call(&method, Some(&alice.refresh), body).await.refused(400, "InvalidToken");
    }
    let body = json!({"repo": alice.did, "writes": []});
    host.call("com.atproto.repo.applyWrites", Some(&bob.access), body).await.refused(403, "AuthorizationError");
    assert_eq!(host.latest_commit(&alice).await, before);
}

async fn list(host: &Host, more: &[(&str, &str)]) -> Value {
    let params = [&[("repo", "alice.test"), ("collection", POST)], more].concat();
    host.query("com.atproto.repo.listRecords", &params).await.json()
}

#[tokio::test]
async fn records_are_listed_in_pages_in_both_directions() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let mut keys: Vec<String> = (0..25).map(|n| format!("k{n:02}")).collect();
    for key in &keys {
        host.put(&alice, POST, key, json!({"key": key})).await;
    }
    // Collections whose names begin alike are others.
    host.put(&alice, "app.bsky.feed.postgate", "k00", json!({})).await;
    for reverse in ["true", "false"] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut params = vec![("limit", "10"), ("reverse", reverse)];
            if !cursor.is_empty() {
                params.push(("cursor", &cursor));
            }
            let page = list(&host, &params).await;
            let records = page["records"].as_array().unwrap();
            found.extend(records.iter().map(|record| record["value"]["key"].as_str().unwrap().to_owned()));
            match page.get("cursor") {
                Some(next) => cursor = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        if reverse == "false" {
            keys.reverse();
        }
        assert_eq!(found, keys, "reverse={reverse}");
        keys.sort();
    }
    assert_eq!(list(&host, &[]).await["records"][0]["value"]["key"], "k24", "the newest first");
    let params = |limit| [("repo", "alice.test"), ("collection", POST), ("limit", limit)];
    for limit in ["0", "101", "-1", "many"] {
        host.query("com.atproto.repo.listRecords", &params(limit)).await.refused(400, "InvalidRequest");
    }
    let described = host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json();
    assert_eq!(described["collections"], json!([POST, "app.bsky.feed.postgate"]));
    assert_eq!(described["handleIsCorrect"], true);
}

#[tokio::test]
async fn links_and_blobs_of_records_are_known_to_the_store() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let subject = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3k";
    let like = "app.bsky.feed.like";
    host.put(&alice, like, "a", json!({"subject": {"uri": subject, "cid": "bafy"}})).await;
    let blob = backend_api::Cid::of(backend_api::Codec::Raw, b"a picture");
    let image = json!({"$type": "blob", "ref": {"$link": blob.to_string()}, "mimeType": "image/png", "size": 9});
    host.put(&alice, POST, "b", json!({"embed": [image]})).await;
    let link = backend_api::Link { field: "subject.uri".into(), target: subject.into() };
    let linking = host.backend.linking(&alice.did, &like.parse().unwrap(), &link, 10).await.unwrap();
    assert_eq!(linking.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["app.bsky.feed.like/a"]);
    let uses = host.backend.blob_uses(&alice.did, &blob, 10).await.unwrap();
    assert_eq!(uses.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["app.bsky.feed.post/b"]);
    host.delete(&alice, like, "a").await;
    assert_eq!(host.backend.linking(&alice.did, &like.parse().unwrap(), &link, 10).await.unwrap(), []);
}

#[tokio::test]
async fn many_writers_of_one_repo_all_succeed() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let write = |n: usize, alice: Person| {
        let host = &host;
        async move { host.create(&alice, POST, json!({"n": n})).await["commit"]["rev"].as_str().unwrap().to_owned() }
    };
    let revs = futures::future::join_all((0..32).map(|n| write(n, alice.clone()))).await;
    let distinct: std::collections::BTreeSet<_> = revs.iter().collect();
    assert_eq!(distinct.len(), 32);
    let car = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    assert_eq!(car.records().len(), 32);
}
