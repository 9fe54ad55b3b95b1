//! Whoever connects and says nothing, or does not listen, takes nothing from others for long.

use std::time::Duration;

use pds::serve::Timing;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::{Host, POST, Subscription};

/// Nothing here takes that long; it keeps a lost connection from hanging a test.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for an answer that is on its way.
const MOMENT: Duration = Duration::from_millis(300);

const REQUEST: &[u8] = b"GET /_health HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn connect(host: &Host) -> TcpStream {
    TcpStream::connect(host.server.address).await.unwrap()
}

/// Asks once, and gives what was answered.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut buffer = vec![0; 4096];
    let len = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer").unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_and_hurt_nobody() {
    let host = Host::start_bounded(3, Timing::default()).await;
    let mut first = connect(&host).await;
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    // A WebSocket counts for as long as it is open, not only until it is one.
    let mut firehose = Subscription::open(host.server.address, None, None).await;
    firehose.ping().await;
    let idle = connect(&host).await;
    let mut waiting = connect(&host).await;
    assert!(timeout(MOMENT, ask(&mut waiting)).await.is_err(), "there is no room for a fourth");
    // Those that are connected are served.
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    firehose.ping().await;
    drop(idle);
    let mut buffer = [0; 12];
    timeout(PATIENCE, waiting.read_exact(&mut buffer)).await.expect("the one that waited is next").unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");

    let mut last = connect(&host).await;
    assert!(timeout(MOMENT, ask(&mut last)).await.is_err(), "there are three again");
    drop(firehose);
    timeout(PATIENCE, last.read_exact(&mut buffer)).await.expect("a subscriber that goes makes room").unwrap();
}

#[tokio::test]
async fn a_connection_that_does_not_say_what_it_wants_is_closed() {
    let timing = Timing { head: Duration::from_millis(200), ..Timing::default() };
    let host = Host::start_bounded(64, timing).await;
    let mut firehose = Subscription::open(host.server.address, None, None).await;
    for said in [&b""[..], b"G", b"GET /_health HTTP/1.1\r\nHost: loc", REQUEST] {
        let mut stream = connect(&host).await;
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
        // One that asked is answered, and closed when it does not ask again.
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), said == REQUEST, "{said:?}");
    }
    // One that listens is not waited for.
    firehose.ping().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let timing = Timing { body: Duration::from_millis(200), ..Timing::default() };
    let host = Host::start_bounded(64, timing).await;
    let mut stream = connect(&host).await;
    let head = "POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n";
    stream.write_all(format!("{head}Content-Type: application/json\r\n\r\n{{").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("RequestTimeout"), "{answer}");
}

#[tokio::test]
async fn who_does_not_take_the_answer_makes_room() {
    let timing = Timing { take: Duration::from_millis(300), ..Timing::default() };
    let host = Host::start_bounded(2, timing).await;
    let alice = host.join("alice").await;
    // More than the kernel keeps for a connection.
    for n in 0..12 {
        host.create(&alice, POST, json!({"text": format!("{n}{}", "x".repeat(900_000))})).await;
    }
    let ask = format!("GET /xrpc/com.atproto.sync.getRepo?did={} HTTP/1.1\r\nHost: localhost\r\n\r\n", alice.did);
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(host.server.address).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    let mut next = connect(&host).await;
    assert!(self::ask(&mut next).await.starts_with("HTTP/1.1 200"));
    // What they did not take is lost, and they can see that.
    for stream in &mut deaf {
        let mut taken = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut taken)).await.expect("it has an end");
        assert!(end.is_err() || !taken.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", taken.len());
    }
}
