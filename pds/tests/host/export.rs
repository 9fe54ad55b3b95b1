//! Repositories as CAR files.

use std::collections::BTreeSet;

use backend_api::Cid;
use backend_api::tree;
use serde_json::json;

use crate::support::{Host, POST, Person};

async fn fill(host: &Host, person: &Person, records: usize) {
    for chunk in (0..records).collect::<Vec<_>>().chunks(100) {
        let writes: Vec<_> = chunk
            .iter()
            .map(|n| {
                let value = json!({"n": n, "text": "some words that make it longer"});
                json!({"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "rkey": format!("k{n:05}"), "value": value})
            })
            .collect();
        let body = json!({"repo": person.did, "writes": writes});
        host.call("com.atproto.repo.applyWrites", Some(&person.access), body).await.json();
    }
}

#[tokio::test]
async fn a_whole_repo_is_exported_in_an_order_that_can_be_followed() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    fill(&host, &alice, 300).await;
    let car = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    assert_eq!(car.root().to_string(), host.latest_commit(&alice).await["cid"].as_str().unwrap());
    assert_eq!(car.records().len(), 300);
    // The commit, then the tree in preorder, and nothing else.
    let mut nodes = tree::nodes(&car.blocks, car.commit().data);
    let mut expected = vec![car.root()];
    while let Some((cid, _)) = nodes.next().await.unwrap() {
        expected.push(cid);
    }
    assert_eq!(car.cids, expected);
    assert_eq!(car.commit().did, alice.did);
}

#[tokio::test]
async fn since_a_rev_only_what_is_new_is_sent() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    fill(&host, &alice, 200).await;
    let before = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    let rev = before.commit().rev.to_string();
    host.create(&alice, POST, json!({"text": "new"})).await;
    host.put(&alice, POST, "k00100", json!({"text": "changed"})).await;
    host.delete(&alice, POST, "k00050").await;
    let after = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    let since = |rev: &str| {
        let params = [("did", alice.did.as_str().to_owned()), ("since", rev.to_owned())];
        let host = &host;
        async move {
            let params: Vec<(&str, &str)> = params.iter().map(|(a, b)| (*a, b.as_str())).collect();
            host.query("com.atproto.sync.getRepo", &params).await
        }
    };
    let diff = since(&rev).await.car();
    assert_eq!(diff.root(), after.root());
    let set = |cids: &[Cid]| cids.iter().copied().collect::<BTreeSet<_>>();
    let expected: BTreeSet<Cid> = set(&after.cids).difference(&set(&before.cids)).copied().collect();
    assert_eq!(set(&diff.cids), expected);
    assert!(diff.cids.len() < 20, "{} blocks of {}", diff.cids.len(), after.cids.len());

    let nothing = since(&after.commit().rev.to_string()).await.car();
    assert_eq!(nothing.cids, [after.root()], "nothing is new but the commit itself");
    let whole = since("2222222222222").await.car();
    assert_eq!(whole.cids, after.cids, "a rev that nobody knows gives the whole");
    since("yesterday").await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn an_empty_repo_is_exported() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let car = host.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    assert_eq!((car.cids.len(), car.records().len()), (2, 0));
}

#[tokio::test]
async fn blocks_are_given_by_cid() {
    let host = Host::start().await;
    let (alice, bob) = (host.join("alice").await, host.join("bob").await);
    let written = host.create(&alice, POST, json!({"text": "hi"})).await;
    let (record, commit) = (written["cid"].as_str().unwrap(), written["commit"]["cid"].as_str().unwrap());
    let did = alice.did.as_str();
    let ask = |did: &'static str, cids: Vec<String>| {
        let mut params = vec![("did".to_owned(), did.to_owned())];
        params.extend(cids.into_iter().map(|cid| ("cids".to_owned(), cid)));
        params
    };
    let get = |params: Vec<(String, String)>| {
        let host = &host;
        async move {
            let params: Vec<(&str, &str)> = params.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            host.query("com.atproto.sync.getBlocks", &params).await
        }
    };
    let did: &'static str = Box::leak(did.to_owned().into_boxed_str());
    let car = get(ask(did, vec![record.into(), commit.into()])).await.car();
    assert_eq!(car.roots, []);
    assert_eq!(car.cids.iter().map(Cid::to_string).collect::<Vec<_>>(), [record, commit]);
    let nowhere = Cid::of_block(b"nowhere").to_string();
    let message = get(ask(did, vec![record.into(), nowhere.clone()])).await.refused(400, "BlockNotFound");
    assert!(message.contains(&nowhere), "{message}");
    let bobs: &'static str = Box::leak(bob.did.as_str().to_owned().into_boxed_str());
    get(ask(bobs, vec![record.into()])).await.refused(400, "BlockNotFound");
    get(ask(did, vec![])).await.refused(400, "InvalidRequest");
    get(ask(did, vec!["bafy".into()])).await.refused(400, "InvalidRequest");
    get(vec![("cids".into(), record.into())]).await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn a_record_comes_with_its_proof() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    fill(&host, &alice, 200).await;
    let get = |rkey: &'static str| {
        let (host, did) = (&host, alice.did.as_str().to_owned());
        async move {
            let params = [("did", did.as_str()), ("collection", POST), ("rkey", rkey)];
            host.query("com.atproto.sync.getRecord", &params).await
        }
    };
    for (rkey, there) in [("k00077", true), ("nothing", false)] {
        let car = get(rkey).await.car();
        let path = format!("{POST}/{rkey}");
        let lookup = tree::get(&car.blocks, car.commit().data, &path).await.unwrap();
        assert_eq!(lookup.value.is_some(), there, "{rkey}");
        if let Some(cid) = lookup.value {
            assert_eq!(car.json(&cid)["n"], 77);
        }
        assert_eq!(car.cids.len(), 1 + lookup.proof.len() + usize::from(there), "the proof and no more");
    }
    get("a/b").await.refused(400, "InvalidRequest");
}
