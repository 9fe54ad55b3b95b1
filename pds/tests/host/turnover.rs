//! A DID that is given up may be somebody else's at once: `did:web` is the handle's. What the one who had it still has under
//! way does nothing to the one who has it now.

use std::time::Duration;

use futures::future::join_all;
use pds::serve::Timing;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Answer, Host, POST, Person};

/// Nothing here takes that long; it keeps a lost connection from hanging a test.
const PATIENCE: Duration = Duration::from_secs(60);
const HANDLE: &str = "alice.pds.example.com";
const DID: &str = "did:web:alice.pds.example.com";
/// Requests before the first that matters, and between two of them: these are under way together, one after the other.
const BEFORE: usize = 40;
const BETWEEN: usize = 8;
const ROUNDS_MAX: usize = 5;
const SESSION: &str = "com.atproto.server.getSession";

async fn host() -> Host {
    Host::start_with(false, "pds.example.com", Timing::default()).await
}

async fn join(host: &Host, password: &str) -> Answer {
    host.call("com.atproto.server.createAccount", None, json!({"handle": HANDLE, "password": password})).await
}

async fn login(host: &Host, name: &str, password: &str) -> Answer {
    host.call("com.atproto.server.createSession", None, json!({"identifier": name, "password": password})).await
}

async fn leave(host: &Host, password: &str) -> Answer {
    host.call("com.atproto.server.deleteAccount", None, json!({"did": DID, "password": password, "token": "-"})).await
}

/// A request with all but the last byte of its body.
async fn begin(host: &Host, nsid: &str, token: &str, body: &Value) -> (TcpStream, Vec<u8>) {
    let mut body = body.to_string().into_bytes();
    let head = format!(
        "POST /xrpc/{nsid} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(host.server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Who asks for the body knows the bearer by now.
    let mut said = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("it asks for the body").unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    let last = body.split_off(body.len() - 1);
    stream.write_all(&body).await.unwrap();
    (stream, last)
}

#[tokio::test]
async fn a_write_that_was_under_way_is_not_the_next_owners() {
    let host = host().await;
    let old = Person::from_json(&join(&host, "old").await.json());
    let body = json!({"repo": DID, "collection": POST, "record": {"text": "not mine"}});
    let (mut stream, last) = begin(&host, "com.atproto.repo.createRecord", &old.access, &body).await;
    leave(&host, "old").await.json();
    let new = Person::from_json(&join(&host, "new").await.json());
    assert_eq!(new.did, old.did);
    let before = host.latest_commit(&new).await;
    stream.write_all(&last).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ExpiredToken"), "{answer}");
    assert_eq!(host.latest_commit(&new).await, before);
}

/// Passwords are checked a few at a time, in the order in which they came.
#[tokio::test]
async fn a_password_that_was_being_checked_is_not_the_next_owners() {
    let host = host().await;
    for _ in 0..ROUNDS_MAX {
        join(&host, "old").await.json();
        let others = |count: usize| join_all((0..count).map(|_| login(&host, "nobody.test", "x")));
        let (_, first, _, joined, _, second, session, _) = tokio::join!(
            others(BEFORE),
            leave(&host, "old"),
            others(BETWEEN),
            join(&host, "new"),
            others(BETWEEN),
            leave(&host, "old"),
            login(&host, DID, "old"),
            others(1),
        );
        if joined.status == 200 {
            assert_ne!((first.status, second.status), (200, 200), "one of them left, the other is not there any more");
            if session.status == 200 {
                // From before: it ended with its account.
                let old = Person::from_json(&session.json());
                host.query_as(SESSION, &[], Some(&old.access)).await.refused(400, "ExpiredToken");
            }
            let new = Person::from_json(&joined.json());
            host.query_as(SESSION, &[], Some(&new.access)).await.json();
            return;
        }
        // The name was not free yet when it was asked for, as where the store is slow to answer.
    }
}
