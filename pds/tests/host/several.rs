//! Several hosts over one database are one host: any of them writes to any repo, and each tells all that happens.

use std::sync::Arc;

use pds::serve::Timing;
use serde_json::json;

use crate::engine::is_postgres;
use crate::support::{Host, POST, Person};

/// Posts of each of three writers.
const POSTS: usize = 20;
const POSTS_ALL: usize = 3 * POSTS;

/// Posts one after the other, through one host.
async fn post(host: Arc<Host>, person: Person, word: &'static str) {
    for n in 0..POSTS {
        host.create(&person, POST, json!({"text": format!("{word} {n}")})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_write_to_one_repo_and_tell_the_same() {
    // The embedded engine has one host: a second one is refused.
    if !is_postgres() {
        return;
    }
    let first = Arc::new(Host::start_with(false, "pds.example.com", Timing::default()).await);
    let second = Arc::new(first.beside("pds.example.com").await);
    let (mut here, mut there) = (first.subscribe(Some(0)).await, second.subscribe(Some(0)).await);
    let body = json!({"handle": "alice.pds.example.com", "password": "x"});
    let alice = Person::from_json(&first.call("com.atproto.server.createAccount", None, body).await.json());
    // Both sign with the secrets of the store: what one gave out the other takes.
    let writers = [(&first, "one"), (&second, "two"), (&second, "three")];
    let writers = writers.map(|(host, word)| tokio::spawn(post(Arc::clone(host), alice.clone(), word)));
    for writer in writers {
        writer.await.unwrap();
    }
    let head = first.head().await;
    assert_eq!(second.head().await, head);
    let commits = |frames: &[crate::support::Frame]| frames.iter().filter(|frame| frame.kind == "#commit").count();
    let (here, there) = (here.up_to(head).await, there.up_to(head).await);
    assert_eq!(commits(&here), 1 + POSTS_ALL);
    let bytes = |frames: &[crate::support::Frame]| frames.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>();
    assert!(bytes(&here) == bytes(&there), "both subscribers see the same frames");
    assert_eq!(first.latest_commit(&alice).await, second.latest_commit(&alice).await);
    let car = second.query("com.atproto.sync.getRepo", &[("did", alice.did.as_str())]).await.car();
    assert_eq!(car.records().len(), POSTS_ALL);
    let report = second.backend.verify(backend_api::VerifyLevel::Deep).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}
