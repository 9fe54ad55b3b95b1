use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use backend_api::Cid;
use backend_api::cbor::{self, Reader};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use ipld_core::ipld::Ipld;
use pds::repo::data::cid_of;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::Car;

/// Nothing here takes that long; it keeps a lost event from hanging a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A subscriber of the firehose.
pub struct Subscription(WebSocketStream<TcpStream>);

impl Subscription {
    /// Connects, with a receive buffer of some bytes if given.
    pub async fn open(address: SocketAddr, cursor: Option<u64>, receive_bytes: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        let cursor = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        let url = format!("ws://{address}/xrpc/com.atproto.sync.subscribeRepos{cursor}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Self(socket)
    }

    /// The next frame; `None` when the host has ended the stream, in whatever way.
    pub async fn next(&mut self) -> Option<Frame> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Some(Frame::read(bytes)),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(other)) => panic!("a message that is not binary: {other:?}"),
                }
            }
        };
        // The host's pings go on also where its events do not.
        timeout(PATIENCE, next).await.expect("the firehose goes on")
    }

    /// The next frame, which must come.
    pub async fn frame(&mut self) -> Frame {
        self.next().await.expect("a frame")
    }

    /// The frames up to a number.
    pub async fn up_to(&mut self, seq: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Frame| frame.seq() < seq) {
            frames.push(self.frame().await);
        }
        frames
    }

    /// Says something, and waits for a ping to come back.
    pub async fn ping(&mut self) {
        self.0.send(Message::Text("consumers may say what they like".into())).await.unwrap();
        self.0.send(Message::Ping(Bytes::from_static(b"x"))).await.unwrap();
        let pong = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Pong(bytes))) => return assert_eq!(bytes, "x"),
                    Some(Ok(_)) => {}
                    other => panic!("no pong but {other:?}"),
                }
            }
        };
        timeout(PATIENCE, pong).await.expect("a pong");
    }

    /// Says goodbye, and waits for the answer.
    pub async fn close(mut self) {
        self.0.send(Message::Close(None)).await.unwrap();
        let answer = async { while !matches!(self.0.next().await.expect("an answer").unwrap(), Message::Close(_)) {} };
        timeout(PATIENCE, answer).await.expect("an answer");
    }
}

/// A frame, decoded.
#[derive(Debug, Clone)]
pub struct Frame {
    pub bytes: Bytes,
    /// `#commit` and the like; `error` for an error frame.
    pub kind: String,
    pub body: BTreeMap<String, Ipld>,
}

/// Header `{op: -1}`.
const ERROR_HEADER: &[u8] = b"\xa1\x62op\x20";

impl Frame {
    pub fn read(bytes: Bytes) -> Self {
        let (kind, at) = if bytes.starts_with(ERROR_HEADER) {
            ("error".to_owned(), ERROR_HEADER.len())
        } else {
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.map(), Ok(2));
            reader.key("t").unwrap();
            let kind = reader.text().unwrap().to_owned();
            reader.key("op").unwrap();
            assert_eq!(reader.uint(), Ok(1));
            (kind, reader.offset())
        };
        let body = cbor::decode(&bytes[at..]).unwrap();
        Self { bytes, kind, body }
    }

    pub fn seq(&self) -> u64 {
        match self.body.get("seq") {
            Some(Ipld::Integer(seq)) => u64::try_from(*seq).unwrap(),
            other => panic!("seq is {other:?} in {self:?}"),
        }
    }

    pub fn text(&self, field: &str) -> &str {
        match self.body.get(field) {
            Some(Ipld::String(text)) => text,
            other => panic!("{field} is {other:?} in {self:?}"),
        }
    }

    pub fn cid(&self, field: &str) -> Option<Cid> {
        self.body.get(field).and_then(cid_of)
    }

    pub fn car(&self) -> Car {
        match self.body.get("blocks") {
            Some(Ipld::Bytes(bytes)) => Car::read(bytes),
            other => panic!("blocks is {other:?} in {self:?}"),
        }
    }

    /// Action, path, CID and CID before of each operation.
    pub fn ops(&self) -> Vec<(String, String, Option<Cid>, Option<Cid>)> {
        let Some(Ipld::List(ops)) = self.body.get("ops") else { panic!("no ops in {self:?}") };
        ops.iter()
            .map(|op| {
                let Ipld::Map(op) = op else { panic!("an operation that is no map: {op:?}") };
                let text = |field: &str| match &op[field] {
                    Ipld::String(text) => text.clone(),
                    other => panic!("{field} is {other:?}"),
                };
                (text("action"), text("path"), op.get("cid").and_then(cid_of), op.get("prev").and_then(cid_of))
            })
            .collect()
    }
}
