//! Where a subscription starts, and what it says.

use std::sync::Arc;

use backend_api::mutation::Announce;
use backend_api::{IdempotencyKey, Micros, Mutation, Op, frame};
use conformance::ManualClock;
use serde_json::json;

use crate::support::{Answer, Host, POST};

const HOUR_US: u64 = 3_600_000_000;

async fn filled(records: usize) -> (Host, crate::support::Person) {
    let host = Host::start().await;
    let alice = host.join("alice").await;
    for n in 0..records {
        host.create(&alice, POST, json!({"n": n})).await;
    }
    (host, alice)
}

#[tokio::test]
async fn without_a_cursor_it_is_live() {
    let (host, alice) = filled(3).await;
    let head = host.head().await;
    for n in 1..=30 {
        // From the moment on that the connection is there.
        let mut firehose = host.subscribe(None).await;
        let ops = vec![Op::Emit(Announce::Account)];
        let mutation = Mutation { did: alice.did.clone(), key: IdempotencyKey([n; 16]), ops, blocks: vec![] };
        host.backend.apply(mutation).await.unwrap();
        assert_eq!(firehose.frame().await.seq(), head + u64::from(n));
    }
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let (host, _) = filled(1).await;
    host.subscribe(None).await.close().await;
}

#[tokio::test]
async fn delivery_starts_after_the_cursor() {
    let (host, alice) = filled(6).await;
    let head = host.head().await;
    let stored = host.stored_frames(0).await;
    for cursor in [0, 1, 4, head - 1] {
        let frames = host.subscribe(Some(cursor)).await.up_to(head).await;
        let bytes: Vec<_> = frames.into_iter().map(|frame| frame.bytes).collect();
        assert_eq!(bytes, stored[cursor as usize..], "cursor {cursor}");
    }
    // At the head there is nothing yet; then it is live.
    let mut firehose = host.subscribe(Some(head)).await;
    firehose.ping().await;
    host.create(&alice, POST, json!({"text": "now"})).await;
    assert_eq!(firehose.frame().await.seq(), head + 1);
}

#[tokio::test]
async fn a_cursor_of_the_future_is_an_error_and_the_end() {
    let (host, _) = filled(1).await;
    for cursor in [host.head().await + 1, (1 << 53) - 1] {
        let mut firehose = host.subscribe(Some(cursor)).await;
        let error = firehose.frame().await;
        assert_eq!((error.kind.as_str(), error.text("error")), ("error", "FutureCursor"));
        assert_eq!(error.bytes, frame::error("FutureCursor", error.text("message")));
        assert!(firehose.next().await.is_none());
    }
}

#[tokio::test]
async fn a_cursor_before_the_oldest_event_is_told_and_starts_there() {
    let clock = Arc::new(ManualClock::new(Micros(1_700_000_000_000_000)));
    let options = conformance::Options { history_window_micros: HOUR_US, event_retention_micros: HOUR_US };
    let host = Host::start_on_model(options, Arc::clone(&clock)).await;
    let alice = host.join("alice").await;
    host.create(&alice, POST, json!({"n": 1})).await;
    clock.set(Micros(1_700_000_000_000_000 + 2 * HOUR_US));
    let kept = host.head().await + 1;
    host.create(&alice, POST, json!({"n": 2})).await;
    host.create(&alice, POST, json!({"n": 3})).await;
    while !host.backend.sweep(1_000).await.unwrap().done {}
    let oldest = host.backend.event_window().await.unwrap().oldest.get();
    assert_eq!(oldest, kept);

    let mut firehose = host.subscribe(Some(1)).await;
    let info = firehose.frame().await;
    assert_eq!((info.kind.as_str(), info.text("name")), ("#info", "OutdatedCursor"));
    assert_eq!(info.bytes, frame::info("OutdatedCursor", info.text("message")));
    assert_eq!(firehose.frame().await.seq(), oldest);
    // 0 means the oldest, and so does the number before it: nothing was missed.
    for cursor in [0, oldest - 1] {
        assert_eq!(host.subscribe(Some(cursor)).await.frame().await.seq(), oldest, "cursor {cursor}");
    }
    assert_eq!(host.subscribe(Some(oldest)).await.frame().await.seq(), oldest + 1);
}

#[tokio::test]
async fn what_is_no_subscription_is_refused() {
    let host = Host::start().await;
    host.query("com.atproto.sync.subscribeRepos", &[]).await.refused(400, "InvalidRequest");
    for cursor in ["x", "-1", "9007199254740992", "1.5"] {
        let request = host
            .request(reqwest::Method::GET, &format!("/xrpc/com.atproto.sync.subscribeRepos?cursor={cursor}"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        Answer::of(request.send().await.unwrap()).await.refused(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn a_stopping_host_ends_its_subscriptions() {
    let (host, _) = filled(2).await;
    let head = host.head().await;
    let mut firehose = host.subscribe(Some(0)).await;
    firehose.up_to(head).await;
    let Host { server, backend, .. } = host;
    let ((), next) = tokio::join!(server.stop(), firehose.next());
    assert!(next.is_none());
    backend.close().await.unwrap();
}

#[tokio::test]
async fn cursors_hold_over_a_restart() {
    let (host, alice) = filled(4).await;
    let head = host.head().await;
    let before = host.stored_frames(0).await;
    let host = host.restart().await;
    assert_eq!(host.stored_frames(0).await, before);
    host.create(&alice, POST, json!({"text": "after"})).await;
    let frames = host.subscribe(Some(head - 1)).await.up_to(head + 1).await;
    assert_eq!(frames[0].bytes, before[before.len() - 1]);
    assert_eq!(frames[1].seq(), head + 1);
}
