use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Did};
use conformance::{ManualClock, Model};
use pds::config::Config;
use pds::serve::{Server, Timing};
use serde_json::{Value, json};

use super::{Answer, Subscription};
use crate::engine::Place;

/// A host in this process, on a free port.
pub struct Host {
    pub backend: Arc<dyn Backend>,
    pub server: Server,
    pub url: String,
    pub plc_url: Option<String>,
    http: reqwest::Client,
    place: Arc<Place>,
}

/// An account with its tokens.
#[derive(Debug, Clone)]
pub struct Person {
    pub did: Did,
    pub handle: String,
    pub access: String,
    pub refresh: String,
}

pub const PASSWORD: &str = "correct horse";

impl Host {
    /// Under `serve --dev`, on a store of its own.
    pub async fn start() -> Self {
        Self::start_with(true, "localhost", Timing::default()).await
    }

    pub async fn start_with(dev: bool, hostname: &str, timing: Timing) -> Self {
        let place = Arc::new(Place::new().await);
        let config = config(&place, hostname);
        let backend = pds::storage::open(&config.storage).await.unwrap();
        Self::start_on(backend, place, &config, dev, timing).await
    }

    /// On a store of its own, with room for some connections.
    pub async fn start_bounded(connections_max: u32, timing: Timing) -> Self {
        let place = Arc::new(Place::new().await);
        let config = Config { connections_max, ..config(&place, "localhost") };
        let backend = pds::storage::open(&config.storage).await.unwrap();
        Self::start_on(backend, place, &config, true, timing).await
    }

    /// On the model, whose clock can be set.
    pub async fn start_on_model(options: conformance::Options, clock: Arc<ManualClock>) -> Self {
        let place = Arc::new(Place::new().await);
        let config = config(&place, "localhost");
        let backend = Arc::new(Model::new(options, clock));
        Self::start_on(backend, place, &config, true, Timing::default()).await
    }

    async fn start_on(
        backend: Arc<dyn Backend>,
        place: Arc<Place>,
        config: &Config,
        dev: bool,
        timing: Timing,
    ) -> Self {
        let server = Server::start(config, Arc::clone(&backend), dev, timing).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().unwrap();
        let url = format!("http://{}", server.address);
        let plc_url = server.plc_address.map(|address| format!("http://{address}"));
        Self { backend, server, url, plc_url, http, place }
    }

    /// Another host over the same model, which knows nothing of what this one knows.
    pub async fn again_on_model(&self) -> Self {
        let config = config(&self.place, "localhost");
        Self::start_on(Arc::clone(&self.backend), Arc::clone(&self.place), &config, true, Timing::default()).await
    }

    /// Another host over the same store, as a second process would be.
    pub async fn beside(&self, hostname: &str) -> Self {
        let config = config(&self.place, hostname);
        let backend = pds::storage::open(&config.storage).await.unwrap();
        Self::start_on(backend, Arc::clone(&self.place), &config, false, Timing::default()).await
    }

    /// Stops and starts again on the same data.
    pub async fn restart(self) -> Self {
        let Self { backend, server, place, .. } = self;
        server.stop().await;
        backend.close().await.unwrap();
        drop(backend);
        let config = config(&place, "localhost");
        let backend = pds::storage::open(&config.storage).await.unwrap();
        Self::start_on(backend, place, &config, true, Timing::default()).await
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn query(&self, nsid: &str, params: &[(&str, &str)]) -> Answer {
        self.query_as(nsid, params, None).await
    }

    pub async fn query_as(&self, nsid: &str, params: &[(&str, &str)], token: Option<&str>) -> Answer {
        let mut request = self.request(reqwest::Method::GET, &format!("/xrpc/{nsid}")).query(params);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn call(&self, nsid: &str, token: Option<&str>, body: Value) -> Answer {
        let mut request = self.request(reqwest::Method::POST, &format!("/xrpc/{nsid}"));
        if !body.is_null() {
            request = request.json(&body);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// A new account `name.test`.
    pub async fn join(&self, name: &str) -> Person {
        let body =
            json!({"handle": format!("{name}.test"), "email": format!("{name}@example.com"), "password": PASSWORD});
        Person::from_json(&self.call("com.atproto.server.createAccount", None, body).await.json())
    }

    /// Creates a record, and gives the answer.
    pub async fn create(&self, person: &Person, collection: &str, record: Value) -> Value {
        let body = json!({"repo": person.did, "collection": collection, "record": record});
        self.call("com.atproto.repo.createRecord", Some(&person.access), body).await.json()
    }

    pub async fn put(&self, person: &Person, collection: &str, rkey: &str, record: Value) -> Value {
        let body = json!({"repo": person.did, "collection": collection, "rkey": rkey, "record": record});
        self.call("com.atproto.repo.putRecord", Some(&person.access), body).await.json()
    }

    pub async fn delete(&self, person: &Person, collection: &str, rkey: &str) -> Value {
        let body = json!({"repo": person.did, "collection": collection, "rkey": rkey});
        self.call("com.atproto.repo.deleteRecord", Some(&person.access), body).await.json()
    }

    pub async fn latest_commit(&self, person: &Person) -> Value {
        self.query("com.atproto.sync.getLatestCommit", &[("did", person.did.as_str())]).await.json()
    }

    /// Follows the firehose from a cursor.
    pub async fn subscribe(&self, cursor: Option<u64>) -> Subscription {
        Subscription::open(self.server.address, cursor, None).await
    }

    /// Every frame that the store has after a number.
    pub async fn stored_frames(&self, mut after: u64) -> Vec<bytes::Bytes> {
        let mut frames = Vec::new();
        loop {
            let events = self.backend.events(backend_api::Seq::new(after).unwrap(), 1_000, 1 << 24).await.unwrap();
            let Some(last) = events.last() else { return frames };
            after = last.seq.get();
            frames.extend(events.into_iter().map(|event| event.frame));
        }
    }

    pub async fn head(&self) -> u64 {
        self.backend.event_window().await.unwrap().head.get()
    }
}

impl Person {
    pub fn from_json(body: &Value) -> Self {
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("{field} in {body}")).to_owned();
        Self {
            did: text("did").parse().unwrap(),
            handle: text("handle"),
            access: text("accessJwt"),
            refresh: text("refreshJwt"),
        }
    }
}

fn config(place: &Place, hostname: &str) -> Config {
    Config {
        port: 0,
        dev_plc_port: 0,
        hostname: hostname.into(),
        data_directory: place.directory().to_owned(),
        storage: place.storage(),
        ..Config::default()
    }
}
