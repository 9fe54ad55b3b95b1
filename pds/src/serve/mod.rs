//! Listening, and ending in good order.

mod banner;
mod connections;
mod descriptors;
mod signals;
mod upkeep;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backend_api::Backend;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::connections::Connections;
use crate::Failure;
use crate::app::App;
use crate::closing::Closing;
use crate::config::Config;
use crate::identity::directory;
use crate::identity::host::Host;
use crate::{cli, env, storage, xrpc};

/// The host's patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a subscriber may take for one message.
    pub send: Duration,
    /// How often a subscriber is pinged that has no events waiting.
    pub ping: Duration,
    /// How long a subscriber may leave pings unanswered.
    pub silence: Duration,
    /// How long a connection may take for the head of a request, also of the next one.
    pub head: Duration,
    /// How long the body of a request may take.
    pub body: Duration,
    /// How long a connection may take nothing of an answer.
    pub take: Duration,
    /// How long requests that run have to end when the host does.
    pub end: Duration,
    /// How often the store is swept.
    pub sweep: Duration,
    /// Bytes of events that subscribers may hold together who do not take them. A batch of each could be some gigabytes.
    pub standing_bytes: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            send: Duration::from_secs(30),
            ping: Duration::from_secs(30),
            silence: Duration::from_secs(100),
            head: Duration::from_secs(30),
            body: Duration::from_secs(300),
            take: Duration::from_secs(120),
            end: Duration::from_secs(10),
            sweep: Duration::from_secs(60),
            standing_bytes: 512 << 20,
        }
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// Whatever keeps it from listening, and what goes wrong when the store is closed.
pub fn run(config: Config, dev: bool) -> Result<(), Failure> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let ended = signals::ended()?;
        let backend = storage::open(&config.storage).await?;
        let result = until(ended, &config, &backend, dev).await;
        backend.close().await?;
        result
    })
}

async fn until(
    ended: impl Future<Output = ()>,
    config: &Config,
    backend: &Arc<dyn Backend>,
    dev: bool,
) -> Result<(), Failure> {
    let server = Server::start(config, Arc::clone(backend), dev, Timing::default()).await?;
    std::fs::create_dir_all(&config.data_directory)?;
    let control = cli::listen(&config.data_directory, Arc::clone(backend))?;
    banner::print(&server.app.host, server.address, server.plc_address);
    ended.await;
    tracing::info!("ending");
    control.stop().await;
    server.stop().await;
    Ok(())
}

/// A host that listens.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its did:plc directory listens, under `serve --dev`.
    pub plc_address: Option<SocketAddr>,
    app: Arc<App>,
    closing: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    timing: Timing,
}

impl Server {
    /// Starts to listen. The store stays open when the server stops.
    ///
    /// # Errors
    /// If an address is taken, or the store cannot be read.
    pub async fn start(config: &Config, backend: Arc<dyn Backend>, dev: bool, timing: Timing) -> Result<Self, Failure> {
        let listener = listen(config.listen()).await?;
        let plc_listener = if dev { Some(listen(config.listen_dev_plc()).await?) } else { None };
        let address = listener.local_addr()?;
        let plc_address = plc_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let (closing, closes) = Closing::new();
        let host = Host::new(&config.hostname, address.port(), dev)?;
        let app = Arc::new(App::new(Arc::clone(&backend), host, timing, closes.clone()).await?);
        let moment = || (env::now(), env::since_boot());
        let connections = Connections::new(descriptors::connections(config.connections_max), timing);
        let serve = |listener, router| tokio::spawn(connections.clone().serve(listener, router, closes.clone()));
        let mut tasks = vec![
            serve(listener, xrpc::router(Arc::clone(&app))),
            tokio::spawn(upkeep::run(backend, moment, timing.sweep, closes.clone())),
        ];
        tasks.extend(plc_listener.map(|listener| serve(listener, directory::router(Arc::clone(&app)))));
        Ok(Self { address, plc_address, app, closing, tasks, timing })
    }

    /// How many follow the firehose.
    #[must_use]
    pub fn subscribers(&self) -> watch::Receiver<usize> {
        self.app.subscribers.subscribe()
    }

    /// Stops: takes no more connections, ends subscriptions, waits a while for the requests that run.
    pub async fn stop(self) {
        let _ = self.closing.send(true);
        let mut subscribers = self.subscribers();
        let _ = timeout(self.timing.end, subscribers.wait_for(|count| *count == 0)).await;
        for mut task in self.tasks {
            if timeout(self.timing.end, &mut task).await.is_err() {
                tracing::warn!("requests were still running at the end, and were cut");
                task.abort();
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}").into())
}
