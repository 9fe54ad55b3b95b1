//! Several hosts over one database are one host: any of them writes to any repo, and each tells all that happens.

use std::sync::Arc;

use backend_api::{RowKind, RowScope};
use pds::serve::Timing;
use serde_json::{Value, json};

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

const GET: &str = "com.atproto.server.getSession";
const REFRESH: &str = "com.atproto.server.refreshSession";
const HANDLE: &str = "alice.pds.example.com";

async fn join(host: &Host, password: &str) -> Person {
    let body = json!({"handle": HANDLE, "password": password});
    Person::from_json(&host.call("com.atproto.server.createAccount", None, body).await.json())
}

/// A session is opened, kept alive and ended by whichever host is asked, and refreshing twice at once, on both, ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_one_for_all_hosts() {
    if !is_postgres() {
        return;
    }
    let first = Host::start_with(false, "pds.example.com", Timing::default()).await;
    let second = first.beside("pds.example.com").await;
    let mut alice = join(&first, "x").await;
    for _ in 0..10 {
        let tries =
            [&first, &second, &first, &second].map(|host| host.call(REFRESH, Some(&alice.refresh), Value::Null));
        let answers = futures::future::join_all(tries).await;
        let sessions: Vec<Person> = answers.into_iter().map(|answer| Person::from_json(&answer.json())).collect();
        for session in &sessions {
            for host in [&first, &second] {
                host.query_as(GET, &[], Some(&session.access)).await.json();
            }
        }
        alice = sessions[3].clone();
        // Had they got different successors, those of the others would be left.
        let live = RowScope::Kind(RowKind::RefreshToken);
        let rows = first.backend.rows(&live, None, 100).await.unwrap().items;
        let unused = rows.iter().filter(|row| String::from_utf8_lossy(&row.body).contains("\"next\":null"));
        assert_eq!(unused.count(), 1);
    }
    second.call("com.atproto.server.deleteSession", Some(&alice.refresh), Value::Null).await.json();
    for host in [&first, &second] {
        host.query_as(GET, &[], Some(&alice.access)).await.refused(400, "ExpiredToken");
        host.call(REFRESH, Some(&alice.refresh), Value::Null).await.refused(400, "ExpiredToken");
    }
}

/// Whoever deletes the account on one host ends what is under way on the other, and the next owner has nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_deleted_on_one_host_is_gone_on_all() {
    if !is_postgres() {
        return;
    }
    let first = Arc::new(Host::start_with(false, "pds.example.com", Timing::default()).await);
    let second = Arc::new(first.beside("pds.example.com").await);
    for round in 0..5 {
        let old = join(&first, "old").await;
        let writers = [&first, &second, &second].map(|host| {
            let (host, old) = (Arc::clone(host), old.clone());
            tokio::spawn(async move {
                let body = json!({"repo": old.did, "collection": POST, "record": {"text": "old"}});
                // Until the account is not there any more.
                loop {
                    let answer = host.call("com.atproto.repo.createRecord", Some(&old.access), body.clone()).await;
                    if answer.status != 200 {
                        return answer;
                    }
                }
            })
        });
        tokio::time::sleep(std::time::Duration::from_millis(20 * round)).await;
        let gone = json!({"did": old.did, "password": "old", "token": "-"});
        second.call("com.atproto.server.deleteAccount", None, gone).await.json();
        let new = join(if round % 2 == 0 { &first } else { &second }, "new").await;
        assert_eq!(new.did, old.did);
        for writer in writers {
            let answer = writer.await.unwrap();
            assert!(answer.status == 400 || answer.status == 401, "{answer:?}");
        }
        for host in [&first, &second] {
            host.query_as(GET, &[], Some(&old.access)).await.refused(400, "ExpiredToken");
            host.call(REFRESH, Some(&old.refresh), Value::Null).await.refused(400, "ExpiredToken");
            let car = host.query("com.atproto.sync.getRepo", &[("did", new.did.as_str())]).await.car();
            assert_eq!(car.records().len(), 0, "nothing of the one before");
        }
        first.create(&new, POST, json!({"text": "new"})).await;
        second.create(&new, POST, json!({"text": "new"})).await;
        let gone = json!({"did": new.did, "password": "new", "token": "-"});
        first.call("com.atproto.server.deleteAccount", None, gone).await.json();
    }
    let report = second.backend.verify(backend_api::VerifyLevel::Deep).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}
