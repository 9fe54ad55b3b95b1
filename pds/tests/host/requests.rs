//! What is said to requests that mean nothing.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Host};

async fn send(request: reqwest::RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn health_and_root_answer() {
    let host = Host::start().await;
    for path in ["/_health", "/xrpc/_health"] {
        let answer = send(host.request(Method::GET, path)).await.json();
        assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(send(host.request(Method::GET, "/")).await.status, 200);
}

#[tokio::test]
async fn unknown_methods_and_paths_say_so() {
    let host = Host::start().await;
    host.query("com.atproto.server.fly", &[]).await.refused(501, "MethodNotImplemented");
    send(host.request(Method::GET, "/nowhere")).await.refused(404, "NotFound");
    host.query("com.atproto.server.createSession", &[]).await.refused(405, "InvalidRequest");
    host.call("com.atproto.server.describeServer", None, json!({})).await.refused(405, "InvalidRequest");
}

#[tokio::test]
async fn bodies_must_be_json() {
    let host = Host::start().await;
    let post = || host.request(Method::POST, "/xrpc/com.atproto.server.createSession");
    send(post().body("{}")).await.refused(400, "InvalidRequest");
    send(post().header("content-type", "text/plain").body("{}")).await.refused(400, "InvalidRequest");
    for body in ["", "{", "[]", "null", "{\"identifier\": 1, \"password\": \"x\"}", "\u{feff}{}"] {
        let request = post().header("content-type", "application/json; charset=utf-8").body(body);
        let message = send(request).await.refused(400, "InvalidRequest");
        assert!(message.starts_with("body: "), "{message}");
    }
    // What the protocol will add one day is no error today.
    let body = json!({"identifier": "alice.test", "password": "x", "allowTakendown": true});
    host.call("com.atproto.server.createSession", None, body).await.refused(401, "AuthenticationRequired");
}

#[tokio::test]
async fn browsers_of_any_origin_are_let_in() {
    let host = Host::start().await;
    let asked = host
        .request(Method::OPTIONS, "/xrpc/com.atproto.repo.createRecord")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 204);
    let header = |name: &str| asked.headers()[name].to_str().unwrap().to_lowercase();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert!(header("access-control-allow-headers").contains("authorization"));
    assert!(header("access-control-allow-methods").contains("post"));
    let answer = host.request(Method::GET, "/xrpc/com.atproto.server.fly").send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*", "errors can be read as well");
}
