//! Many subscribers, slow ones, ones that come and go: each sees each event once, in order, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pds::serve::Timing;
use serde_json::json;

use crate::support::{Host, POST, Subscription};

/// A small window, so that the network holds back whoever reads slowly.
const SMALL_BUFFER_BYTES: u32 = 4 * 1024;

async fn write(host: &Host, name: &str, count: usize, pad: usize) {
    let person = host.join(name).await;
    for n in 0..count {
        host.create(&person, POST, json!({"n": n, "pad": "x".repeat(pad)})).await;
    }
}

/// Reads a few frames, goes away in the middle of things, and comes back where it was, until it has seen `head`.
async fn come_and_go(host: Arc<Host>, head: u64, mut stay: u64, receive_bytes: Option<u32>) -> Vec<Bytes> {
    let mut seen = Vec::new();
    let mut cursor = 0;
    while cursor < head {
        stay = stay * 7 % 31 + 1;
        let mut firehose = Subscription::open(host.server.address, Some(cursor), receive_bytes).await;
        for _ in 0..stay {
            if cursor == head {
                break;
            }
            let frame = firehose.frame().await;
            cursor = frame.seq();
            seen.push(frame.bytes);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_and_goes_misses_nothing() {
    let host = Arc::new(Host::start().await);
    // Four events for each account, one for each post.
    let head = 3 * (4 + 60);
    let writers = async {
        tokio::join!(write(&host, "alice", 60, 10), write(&host, "bob", 60, 3_000), write(&host, "carol", 60, 0));
    };
    let readers = (0..8).map(|n| {
        let receive_bytes = (n % 2 == 0).then_some(SMALL_BUFFER_BYTES);
        tokio::spawn(come_and_go(Arc::clone(&host), head, n * 5, receive_bytes))
    });
    let ((), seen) = tokio::join!(writers, futures::future::join_all(readers));
    let stored = host.stored_frames(0).await;
    assert_eq!(stored.len() as u64, head);
    for seen in seen {
        assert!(seen.unwrap() == stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_live_subscribers_each_see_every_event() {
    let host = Arc::new(Host::start().await);
    let mut subscriptions = Vec::new();
    for _ in 0..200 {
        let mut firehose = host.subscribe(None).await;
        firehose.ping().await;
        subscriptions.push(firehose);
    }
    assert_eq!(*host.server.subscribers().borrow(), 200);
    let head = 4 + 50;
    let readers = subscriptions.into_iter().map(|mut firehose| {
        tokio::spawn(async move { firehose.up_to(head).await.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>() })
    });
    let readers: Vec<_> = readers.collect();
    write(&host, "alice", 50, 100).await;
    let stored = host.stored_frames(0).await;
    assert_eq!(stored.len() as u64, head);
    for seen in futures::future::join_all(readers).await {
        assert!(seen.unwrap() == stored);
    }
}

/// LESSONS A22: a subscriber that lags is served from the store, not dropped; it is dropped when it stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_stands_still_is_ended_and_can_come_back() {
    let timing = Timing { send: Duration::from_millis(300), ..Timing::default() };
    let host = Arc::new(Host::start_with(true, "localhost", timing).await);
    // More than the network's buffers of both sides hold.
    write(&host, "alice", 24, 900_000).await;
    let head = host.head().await;
    let stored = host.stored_frames(0).await;
    let mut stuck = Subscription::open(host.server.address, Some(0), Some(SMALL_BUFFER_BYTES)).await;
    let mut subscribers = host.server.subscribers();
    subscribers.wait_for(|count| *count == 1).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), subscribers.wait_for(|count| *count == 0)).await;
    ended.expect("the host gives up on it").unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = stuck.next().await {
        if frame.kind == "error" {
            assert_eq!(frame.text("error"), "ConsumerTooSlow");
            break;
        }
        seen.push(frame);
    }
    assert!(seen.len() < stored.len(), "it cannot have got everything");
    let cursor = seen.last().map_or(0, |frame| frame.seq());
    let rest = host.subscribe(Some(cursor)).await.up_to(head).await;
    let all: Vec<Bytes> = seen.into_iter().chain(rest).map(|frame| frame.bytes).collect();
    assert!(all == stored);
}

/// Whoever opens connections and does not read must not take the machine's memory with them.
#[tokio::test(flavor = "multi_thread")]
async fn of_subscribers_that_hold_too_much_together_the_slowest_are_ended() {
    const STAY: usize = 3;
    const EVENT_BYTES: usize = 900_000;
    let patient = Duration::from_secs(600);
    let timing = Timing { send: patient, standing_bytes: STAY * EVENT_BYTES * 4 / 3, ..Timing::default() };
    let host = Arc::new(Host::start_with(true, "localhost", timing).await);
    // More than the network's buffers of both sides hold.
    write(&host, "alice", 24, EVENT_BYTES).await;
    let head = host.head().await;
    let mut stuck = Vec::new();
    for _ in 0..3 * STAY {
        stuck.push(Subscription::open(host.server.address, Some(0), Some(SMALL_BUFFER_BYTES)).await);
    }
    let mut subscribers = host.server.subscribers();
    let ended = tokio::time::timeout(Duration::from_secs(60), subscribers.wait_for(|count| *count == STAY)).await;
    ended.expect("the host gives up on the others").unwrap();
    // The last ones stand still for the shortest time. Whoever reads is not one of them.
    let stored = host.stored_frames(0).await;
    let read = stuck.pop().unwrap().up_to(head).await;
    assert!(read.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>() == stored);
}

/// A slow reader holds back nobody: others get everything while it has read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_costs_others_nothing() {
    let host = Arc::new(Host::start().await);
    let mut slow = Subscription::open(host.server.address, Some(0), Some(SMALL_BUFFER_BYTES)).await;
    write(&host, "alice", 12, 900_000).await;
    let head = host.head().await;
    let stored = host.stored_frames(0).await;
    let fast = host.subscribe(Some(0)).await.up_to(head).await;
    assert!(fast.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>() == stored);
    let late = slow.up_to(head).await;
    assert!(late.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>() == stored);
}

/// While events flow nobody has to say anything, however long that is.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_silent_only_if_it_was_pinged() {
    let timing = Timing { ping: Duration::from_millis(500), silence: Duration::from_secs(1), ..Timing::default() };
    let host = Arc::new(Host::start_with(true, "localhost", timing).await);
    let mut firehose = host.subscribe(None).await;
    let alice = host.join("alice").await;
    let written = host.head().await;
    let writer = Arc::clone(&host);
    let writer = tokio::spawn(async move {
        // Events at shorter intervals than pings, for longer than the host bears silence; then a pause of some pings.
        let mut due = tokio::time::interval(timing.ping / 6);
        for n in 0..20 {
            due.tick().await;
            writer.create(&alice, POST, json!({"n": n})).await;
        }
        tokio::time::sleep(timing.silence * 5 / 2).await;
        writer.create(&alice, POST, json!({"text": "after the pause"})).await;
    });
    // Pings are answered while the next event is waited for.
    let seen = firehose.up_to(written + 21).await;
    assert_eq!(seen.len() as u64, written + 21);
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_answers_no_ping_is_ended() {
    let timing = Timing { ping: Duration::from_millis(50), silence: Duration::from_millis(200), ..Timing::default() };
    let host = Host::start_with(true, "localhost", timing).await;
    // Whoever does not read does not answer.
    let _dead = host.subscribe(None).await;
    let mut subscribers = host.server.subscribers();
    for count in [1, 0] {
        let changed = tokio::time::timeout(Duration::from_secs(60), subscribers.wait_for(|now| *now == count)).await;
        changed.expect("it comes, and the host gives it up").unwrap();
    }
}
