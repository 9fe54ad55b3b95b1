//! Handles, DIDs and their documents.

use backend_api::mutation::NewAccount;
use backend_api::{AccountStatus, Did, IdempotencyKey, Mutation, Op};
use pds::identity::keys::Keypair;
use pds::serve::Timing;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Host, Person, public_key};

async fn get(host: &Host, path: &str, name: &str) -> Answer {
    Answer::of(host.request(Method::GET, path).header("host", name).send().await.unwrap()).await
}

#[tokio::test]
async fn the_local_directory_answers_with_the_document() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let plc = host.plc_url.clone().unwrap();
    let fetch = |did: String| {
        let url = format!("{plc}/{did}");
        async move {
            Answer::of(reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap()).await
        }
    };
    let document = fetch(alice.did.to_string()).await.json();
    assert_eq!(document["id"], alice.did.as_str());
    assert_eq!(document["alsoKnownAs"], json!(["at://alice.test"]));
    assert_eq!(document["service"][0]["serviceEndpoint"], format!("http://localhost:{}", host.server.address.port()));
    public_key(&document);
    let described = host.query("com.atproto.repo.describeRepo", &[("repo", "alice.test")]).await.json();
    assert_eq!(described["didDoc"], document);
    for unknown in ["did:plc:nobody", "did:web:localhost", "alice", "did:plc:"] {
        assert_eq!(fetch(unknown.into()).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn handles_resolve() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let resolve = |handle: &'static str| {
        let host = &host;
        async move { host.query("com.atproto.identity.resolveHandle", &[("handle", handle)]).await }
    };
    assert_eq!(resolve("ALICE.test").await.json()["did"], alice.did.as_str());
    resolve("bob.test").await.refused(400, "HandleNotFound");
    resolve("nothing").await.refused(400, "InvalidRequest");
    let well_known = get(&host, "/.well-known/atproto-did", "alice.test:2583").await;
    assert_eq!((well_known.status, &well_known.body[..]), (200, alice.did.as_str().as_bytes()));
    get(&host, "/.well-known/atproto-did", "bob.test").await.refused(404, "NotFound");
    get(&host, "/.well-known/did.json", "alice.test").await.refused(404, "NotFound");
}

#[tokio::test]
async fn without_a_directory_accounts_are_did_web_of_their_handle() {
    let host = Host::start_with(false, "pds.example.com", Timing::default()).await;
    assert_eq!(host.plc_url, None);
    let create = |handle: &str| {
        let body = json!({"handle": handle, "password": "x"});
        host.call("com.atproto.server.createAccount", None, body)
    };
    create("alice.test").await.refused(400, "UnsupportedDomain");
    let alice = Person::from_json(&create("alice.pds.example.com").await.json());
    assert_eq!(alice.did.as_str(), "did:web:alice.pds.example.com");
    let document = get(&host, "/.well-known/did.json", "alice.pds.example.com").await.json();
    assert_eq!(document["id"], alice.did.as_str());
    assert_eq!(document["service"][0]["serviceEndpoint"], "https://pds.example.com");
    public_key(&document);
    let own = get(&host, "/.well-known/did.json", "pds.example.com").await.json();
    assert_eq!(own["id"], "did:web:pds.example.com");
    create("alice.pds.example.com").await.refused(400, "HandleNotAvailable");
    let described: Value = host.query("com.atproto.server.describeServer", &[]).await.json();
    assert_eq!(described["availableUserDomains"], json!([".pds.example.com"]));
    assert_eq!(
        (&described["did"], &described["inviteCodeRequired"]),
        (&json!("did:web:pds.example.com"), &json!(false))
    );
}

/// An account with a repo whose signing key this host has not, as an import leaves it.
async fn move_in(host: &Host, did: &str, handle: &str) {
    let did: Did = did.parse().unwrap();
    let (commit, blocks) = pds::repo::genesis(&did, &Keypair::generate());
    let account = NewAccount {
        handle: Some(handle.parse().unwrap()),
        email: None,
        password_hash: None,
        status: AccountStatus::Active,
    };
    let ops = vec![Op::CreateAccount(account), Op::Commit(Box::new(commit))];
    host.backend.apply(Mutation { did, key: IdempotencyKey([1; 16]), ops, blocks }).await.unwrap();
}

#[tokio::test]
async fn without_its_signing_key_an_account_has_a_document_without_one() {
    let host = Host::start().await;
    let (plc, web) = ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:moved.test");
    move_in(&host, plc, "moved.example.com").await;
    move_in(&host, web, "moved.test").await;
    let directory = format!("{}/{plc}", host.plc_url.as_ref().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let registered = Answer::of(client.get(directory).send().await.unwrap()).await.json();
    let described = host.query("com.atproto.repo.describeRepo", &[("repo", plc)]).await.json();
    assert_eq!(described["didDoc"], registered);
    let own = get(&host, "/.well-known/did.json", "moved.test").await.json();
    for (document, did) in [(registered, plc), (own, web)] {
        assert_eq!((&document["id"], &document["verificationMethod"]), (&json!(did), &json!([])));
        assert_eq!(document["service"].as_array().unwrap().len(), 1);
    }
}
