//! Logging in, staying logged in, logging out.

use std::sync::Arc;

use backend_api::mutation::Announce;
use backend_api::{Backend, Did, Expect, IdempotencyKey, Micros, Mutation, Op, Row, RowKind, RowScope, limits};
use conformance::ManualClock;
use serde_json::{Value, json};

use crate::support::{Answer, Host, Person};

const YEAR_US: u64 = 365 * 86_400 * 1_000_000;

const REFRESH: &str = "com.atproto.server.refreshSession";

async fn login(host: &Host, identifier: &str, password: &str) -> Answer {
    let body = json!({"identifier": identifier, "password": password});
    host.call("com.atproto.server.createSession", None, body).await
}

#[tokio::test]
async fn every_name_of_the_account_logs_in() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    for name in ["alice.test", "ALICE.TEST", "alice@example.com", "Alice@Example.com", alice.did.as_str()] {
        let session = Person::from_json(&login(&host, name, "correct horse").await.json());
        assert_eq!(session.did, alice.did, "{name}");
        assert_ne!(session.refresh, alice.refresh);
    }
}

#[tokio::test]
async fn whoever_is_not_the_owner_is_told_nothing() {
    let host = Host::start().await;
    host.join("alice").await;
    let mut messages = Vec::new();
    for (name, password) in [
        ("alice.test", "wrong"),
        ("bob.test", "correct horse"),
        ("did:plc:nobody", "x"),
        ("", ""),
        ("a b", "x"),
        ("@", "x"),
    ] {
        messages.push(login(&host, name, password).await.refused(401, "AuthenticationRequired"));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    host.call("com.atproto.server.createSession", None, json!({"identifier": "alice.test"}))
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn a_refresh_token_is_followed_by_another() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let first = Person::from_json(&host.call(REFRESH, Some(&alice.refresh), Value::Null).await.json());
    assert_eq!(first.did, alice.did);
    let second = Person::from_json(&host.call(REFRESH, Some(&first.refresh), Value::Null).await.json());
    host.query_as("com.atproto.server.getSession", &[], Some(&second.access)).await.json();
}

/// LESSONS A25: a client whose answer was lost refreshes again with the token that it has.
#[tokio::test]
async fn refreshing_twice_does_not_log_out() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let tries = (0..6).map(|_| host.call(REFRESH, Some(&alice.refresh), Value::Null));
    let answers = futures::future::join_all(tries).await;
    let sessions: Vec<Person> = answers.into_iter().map(|answer| Person::from_json(&answer.json())).collect();
    // All got the same successor: it can be used, once by each, and nobody is logged out by another.
    for session in &sessions {
        host.query_as("com.atproto.server.getSession", &[], Some(&session.access)).await.json();
        Person::from_json(&host.call(REFRESH, Some(&session.refresh), Value::Null).await.json());
    }
    let kinds = backend_api::RowScope::Kind(backend_api::RowKind::RefreshToken);
    let rows = host.backend.rows(&kinds, None, 100).await.unwrap().items;
    assert_eq!(rows.len(), 3, "the first token, its successor, and that one's");
}

#[tokio::test]
async fn who_refreshes_all_the_time_does_not_fill_the_store() {
    let host = Host::start().await;
    let mut alice = host.join("alice").await;
    let mut used = Vec::new();
    for _ in 0..40 {
        used.push(alice.refresh.clone());
        alice = Person::from_json(&host.call(REFRESH, Some(&alice.refresh), Value::Null).await.json());
    }
    let kinds = backend_api::RowScope::Kind(backend_api::RowKind::RefreshToken);
    let rows = host.backend.rows(&kinds, None, 100).await.unwrap().items;
    assert_eq!(rows.len(), 17, "sixteen that were used, and one that was not");
    // The newest may be used again, the oldest no more.
    for (at, token) in used.iter().enumerate() {
        let answer = host.call(REFRESH, Some(token), Value::Null).await;
        if at < 40 - 16 { drop(answer.refused(400, "ExpiredToken")) } else { drop(answer.json()) }
    }
    host.query_as("com.atproto.server.getSession", &[], Some(&alice.access)).await.json();
}

/// A program that logs in each minute has more sessions than rows can go in one mutation before the first has expired.
#[tokio::test]
async fn an_account_with_any_number_of_sessions_can_be_deleted() {
    let clock = Arc::new(ManualClock::new(pds::env::now()));
    let options = conformance::Options { history_window_micros: YEAR_US, event_retention_micros: YEAR_US };
    let host = Host::start_on_model(options, clock).await;
    let alice = host.join("alice").await;
    let row = |n: usize| {
        let owner = Some(alice.did.clone());
        Op::PutRow { row: Row { owner, ..Row::new(RowKind::Session, n.to_string(), "") }, expect: Expect::Absent }
    };
    for step in 0..=limits::ROWS_OWNED_MAX / limits::MUTATION_OPS_MAX {
        let ops = (0..limits::MUTATION_OPS_MAX).map(|n| row(step * limits::MUTATION_OPS_MAX + n)).collect();
        let mutation = Mutation { did: alice.did.clone(), key: pds::env::idempotency_key(), ops, blocks: Vec::new() };
        host.backend.apply(mutation).await.unwrap();
    }
    let body = json!({"did": alice.did, "password": "correct horse", "token": "-"});
    host.call("com.atproto.server.deleteAccount", None, body).await.json();
    let left = host.backend.rows(&RowScope::Owner(alice.did.clone()), None, 1).await.unwrap();
    assert_eq!(left.items.len(), 0);
}

#[tokio::test]
async fn a_session_that_was_ended_is_over() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let other = Person::from_json(&login(&host, "alice.test", "correct horse").await.json());
    let next = Person::from_json(&host.call(REFRESH, Some(&alice.refresh), Value::Null).await.json());
    host.call("com.atproto.server.deleteSession", Some(&next.refresh), Value::Null).await.json();
    for token in [&alice.access, &next.access] {
        host.query_as("com.atproto.server.getSession", &[], Some(token)).await.refused(400, "ExpiredToken");
    }
    for token in [&alice.refresh, &next.refresh] {
        host.call(REFRESH, Some(token), Value::Null).await.refused(400, "ExpiredToken");
    }
    // Again is fine, and the other session goes on.
    host.call("com.atproto.server.deleteSession", Some(&next.refresh), Value::Null).await.json();
    host.query_as("com.atproto.server.getSession", &[], Some(&other.access)).await.json();
}

#[tokio::test]
async fn tokens_are_for_their_purpose_only() {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    let host = &host;
    let get = |token: String| async move { host.query_as("com.atproto.server.getSession", &[], Some(&token)).await };
    get(alice.refresh.clone()).await.refused(400, "InvalidToken");
    host.call(REFRESH, Some(&alice.access), Value::Null).await.refused(400, "InvalidToken");
    host.call("com.atproto.server.deleteSession", Some(&alice.access), Value::Null).await.refused(400, "InvalidToken");
    get("not.a.token".into()).await.refused(400, "InvalidToken");
    host.query("com.atproto.server.getSession", &[]).await.refused(401, "AuthMissing");
    host.call(REFRESH, None, Value::Null).await.refused(401, "AuthMissing");
    let basic = host
        .request(reqwest::Method::GET, "/xrpc/com.atproto.server.getSession")
        .header("authorization", "Basic YTpi")
        .send()
        .await
        .unwrap();
    Answer::of(basic).await.refused(401, "InvalidToken");
    // A token of another host is signed with another secret.
    let elsewhere = Host::start().await;
    let stranger = elsewhere.join("alice").await;
    get(stranger.access).await.refused(400, "InvalidToken");
}

/// Takes a commit by a clock that is a year ahead, and sets the clock right again.
async fn jump(backend: &dyn Backend, clock: &ManualClock, did: &Did) {
    let now = pds::env::now();
    clock.set(Micros(now.0 + YEAR_US));
    let ops = vec![Op::Emit(Announce::Account)];
    let mutation = Mutation { did: did.clone(), key: IdempotencyKey([9; 16]), ops, blocks: vec![] };
    backend.apply(mutation).await.unwrap();
    clock.set(now);
}

async fn on_model() -> (Host, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(pds::env::now()));
    let options = conformance::Options { history_window_micros: YEAR_US, event_retention_micros: YEAR_US };
    (Host::start_on_model(options, Arc::clone(&clock)).await, clock)
}

async fn uses(host: &Host, person: &Person) {
    host.query_as("com.atproto.server.getSession", &[], Some(&person.access)).await.json();
    host.create(person, "app.bsky.feed.post", json!({"text": "hi"})).await;
}

/// The store's time stands still at its newest commit until the clock catches up.
#[tokio::test]
async fn sessions_are_good_after_a_clock_that_jumped_a_year_ahead() {
    let (host, clock) = on_model().await;
    let alice = host.join("alice").await;
    jump(&*host.backend, &clock, &alice.did).await;
    // Neither host has seen the commit of the next year.
    let other = host.again_on_model().await;
    for host in [&host, &other] {
        let session = Person::from_json(&login(host, "alice.test", "correct horse").await.json());
        uses(host, &session).await;
        let next = Person::from_json(&host.call(REFRESH, Some(&session.refresh), Value::Null).await.json());
        uses(host, &next).await;
    }
}

#[tokio::test]
async fn an_account_that_is_created_after_such_a_jump_is_logged_in() {
    let (host, clock) = on_model().await;
    let alice = host.join("alice").await;
    jump(&*host.backend, &clock, &alice.did).await;
    let bob = host.again_on_model().await.join("bob").await;
    uses(&host, &bob).await;
}

#[tokio::test]
async fn a_refresh_by_a_host_that_does_not_know_of_the_jump_gives_tokens_that_are_good() {
    let (host, clock) = on_model().await;
    let alice = host.join("alice").await;
    jump(&*host.backend, &clock, &alice.did).await;
    let session = Person::from_json(&login(&host, "alice.test", "correct horse").await.json());
    let other = host.again_on_model().await;
    let next = Person::from_json(&other.call(REFRESH, Some(&session.refresh), Value::Null).await.json());
    for host in [&host, &other] {
        uses(host, &next).await;
    }
}
