//! Accounts that are not active: kept, and not shown.

use backend_api::mutation::{Announce, NewAccount};
use backend_api::{AccountStatus, Did, IdempotencyKey, Mutation, Op};
use serde_json::{Value, json};

use crate::support::{Host, POST, Person};

const ACTIVATE: &str = "com.atproto.server.activateAccount";
const DEACTIVATE: &str = "com.atproto.server.deactivateAccount";

/// What an operator does.
async fn set_status(host: &Host, person: &Person, status: AccountStatus) {
    let ops = vec![Op::SetStatus(status), Op::Emit(Announce::Account)];
    let key = IdempotencyKey([status as u8; 16]);
    host.backend.apply(Mutation { did: person.did.clone(), key, ops, blocks: vec![] }).await.unwrap();
}

async fn reads(host: &Host, person: &Person, error: &str) {
    let did = person.did.as_str();
    let path = [("collection", POST), ("rkey", "a")];
    for (method, params) in [
        ("sync.getRepo", vec![("did", did)]),
        ("sync.getLatestCommit", vec![("did", did)]),
        ("sync.getRecord", [&[("did", did)][..], &path].concat()),
        ("sync.getBlocks", vec![("did", did), ("cids", "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")]),
        ("repo.getRecord", [&[("repo", did)][..], &path].concat()),
        ("repo.listRecords", vec![("repo", did), ("collection", POST)]),
        ("repo.describeRepo", vec![("repo", did)]),
    ] {
        host.query(&format!("com.atproto.{method}"), &params).await.refused(400, error);
    }
}

#[tokio::test]
async fn an_owner_switches_the_account_off_and_on() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    host.put(&alice, POST, "a", json!({"n": 1})).await;
    let commit = host.latest_commit(&alice).await;
    let mut firehose = host.subscribe(None).await;
    for _ in 0..2 {
        host.call(DEACTIVATE, Some(&alice.access), json!({})).await.json();
    }
    reads(&host, &alice, "RepoDeactivated").await;
    let write = json!({"repo": alice.did, "collection": POST, "record": {}});
    host.call("com.atproto.repo.createRecord", Some(&alice.access), write).await.refused(400, "AccountDeactivated");
    let status = host.query("com.atproto.sync.getRepoStatus", &[("did", alice.did.as_str())]).await.json();
    assert_eq!(status, json!({"did": alice.did, "active": false, "status": "deactivated"}));
    let session = host.query_as("com.atproto.server.getSession", &[], Some(&alice.access)).await.json();
    assert_eq!((&session["active"], &session["status"]), (&json!(false), &json!("deactivated")));
    // The owner can still log in.
    let login = json!({"identifier": "alice.test", "password": "correct horse"});
    let again = Person::from_json(&host.call("com.atproto.server.createSession", None, login).await.json());
    for _ in 0..2 {
        host.call(ACTIVATE, Some(&again.access), Value::Null).await.json();
    }
    assert_eq!(host.latest_commit(&alice).await, commit);
    host.put(&alice, POST, "b", json!({"n": 2})).await;

    let head = host.head().await;
    let frames = firehose.up_to(head).await;
    let kinds: Vec<&str> = frames.iter().map(|frame| frame.kind.as_str()).collect();
    assert_eq!(kinds, ["#account", "#account", "#identity", "#sync", "#commit"]);
    assert_eq!(frames[0].text("status"), "deactivated");
    assert!(!frames[1].body.contains_key("status"));
    assert_eq!(frames[3].car().root().to_string(), commit["cid"].as_str().unwrap());
}

#[tokio::test]
async fn what_the_operator_took_down_the_owner_cannot_put_up() {
    let host = Host::start().await;
    for (name, status, error) in
        [("alice", AccountStatus::Takendown, "RepoTakendown"), ("bob", AccountStatus::Suspended, "RepoSuspended")]
    {
        let person = host.join(name).await;
        host.put(&person, POST, "a", json!({"n": 1})).await;
        set_status(&host, &person, status).await;
        reads(&host, &person, error).await;
        for method in [ACTIVATE, DEACTIVATE] {
            host.call(method, Some(&person.access), json!({})).await.refused(400, "AccountTakedown");
        }
        let write = json!({"repo": person.did, "collection": POST, "record": {}});
        host.call("com.atproto.repo.createRecord", Some(&person.access), write).await.refused(400, "AccountTakedown");
        let login = json!({"identifier": format!("{name}.test"), "password": "correct horse"});
        host.call("com.atproto.server.createSession", None, login).await.refused(401, "AccountTakedown");
        host.call("com.atproto.server.refreshSession", Some(&person.refresh), Value::Null)
            .await
            .refused(400, "AccountTakedown");
        set_status(&host, &person, AccountStatus::Active).await;
        host.put(&person, POST, "b", json!({"n": 2})).await;
    }
}

#[tokio::test]
async fn repos_are_listed_with_their_status() {
    let host = Host::start().await;
    let mut people = Vec::new();
    for name in ["alice", "bob", "carol", "dan", "eve"] {
        people.push(host.join(name).await);
    }
    set_status(&host, &people[1], AccountStatus::Takendown).await;
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut params = vec![("limit", "2")];
        params.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = host.query("com.atproto.sync.listRepos", &params).await.json();
        found.extend(page["repos"].as_array().unwrap().clone());
        match page.get("cursor") {
            Some(next) => cursor = Some(next.as_str().unwrap().to_owned()),
            None => break,
        }
    }
    people.sort_by(|a, b| a.did.cmp(&b.did));
    assert_eq!(found.len(), 5);
    for (repo, person) in found.iter().zip(&people) {
        assert_eq!(repo["did"], person.did.as_str());
        if person.handle == "bob.test" {
            assert_eq!((&repo["active"], &repo["status"]), (&json!(false), &json!("takendown")));
        } else {
            assert_eq!((&repo["active"], repo.get("status")), (&json!(true), None));
            assert_eq!(repo["head"], host.latest_commit(person).await["cid"]);
        }
    }
    for (name, value) in [("limit", "0"), ("limit", "1001"), ("cursor", "alice")] {
        host.query("com.atproto.sync.listRepos", &[(name, value)]).await.refused(400, "InvalidRequest");
    }
    let nobody = [("did", "did:plc:nobody")];
    host.query("com.atproto.sync.getRepoStatus", &nobody).await.refused(400, "RepoNotFound");
    host.query("com.atproto.sync.getLatestCommit", &nobody).await.refused(400, "RepoNotFound");
    host.query("com.atproto.sync.getLatestCommit", &[("did", "alice")]).await.refused(400, "InvalidRequest");
    host.query("com.atproto.sync.getLatestCommit", &[]).await.refused(400, "InvalidRequest");
}

/// Also after it was killed: what it made is there for the next one to take up.
#[tokio::test]
async fn an_import_that_goes_on_is_not_seen() {
    let host = Host::start().await;
    let did: Did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap();
    let status = AccountStatus::Deactivated;
    let account = NewAccount { handle: None, email: None, password_hash: None, status };
    let ops = vec![Op::CreateAccount(account), Op::BeginImport];
    let mutation = Mutation { did: did.clone(), key: pds::env::idempotency_key(), ops, blocks: Vec::new() };
    host.backend.apply(mutation).await.unwrap();
    for method in ["getRepoStatus", "getLatestCommit", "getRepo"] {
        let asked = [("did", did.as_str())];
        host.query(&format!("com.atproto.sync.{method}"), &asked).await.refused(400, "RepoNotFound");
    }
    host.query("com.atproto.repo.describeRepo", &[("repo", did.as_str())]).await.refused(400, "RepoNotFound");
}
