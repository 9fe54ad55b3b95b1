//! What the operator decides, from a TOML file and the environment. A key that nobody knows is refused, so that a typing
//! error never passes for a default.

mod environment;
mod load;
pub mod template;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::ConfigError;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on.
    pub address: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// The name under which the network knows this host.
    pub hostname: String,
    /// Everything that this host keeps is below it.
    pub data_directory: PathBuf,
    /// Port of the local did:plc directory of `serve --dev`; 0 takes a free one.
    pub dev_plc_port: u16,
    /// Connections at the most, at least 1.
    pub connections_max: u32,
    /// Where the data goes.
    pub storage: StorageConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 2583,
            hostname: "localhost".into(),
            data_directory: "./data".into(),
            dev_plc_port: 2582,
            connections_max: 4_096,
            storage: StorageConfig::default(),
        }
    }
}

impl Config {
    /// Where to listen.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Where the local did:plc directory listens.
    #[must_use]
    pub const fn listen_dev_plc(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.dev_plc_port)
    }
}

/// Where the data goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The engine.
    pub backend: BackendName,
    /// Options of the embedded engine.
    pub tranquil: TranquilConfig,
    /// Options of the Postgres engine.
    pub postgres: PostgresConfig,
}

/// An engine, by the name that the configuration has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// The embedded one.
    #[default]
    Tranquil,
    /// The one over Postgres.
    Postgres,
}

/// Options of the embedded engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranquilConfig {
    /// Its directory; after loading always set, by default `store` below the data directory.
    pub directory: Option<PathBuf>,
    /// How long past commits stay readable.
    pub history_window_hours: u32,
    /// How long events stay in the firehose.
    pub event_retention_hours: u32,
    /// Memory of all that the engine keeps in memory, at least 96.
    pub memory_mib: u32,
}

impl Default for TranquilConfig {
    fn default() -> Self {
        Self { directory: None, history_window_hours: 72, event_retention_hours: 72, memory_mib: 512 }
    }
}

/// Options of the Postgres engine.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Where the database is.
    pub url: Option<String>,
    /// Connections at the most, at least 3.
    pub pool_size: u32,
    /// The schema that the tables are in.
    pub schema: String,
    /// After so long the server gives a statement up; 0 for never.
    pub statement_timeout_seconds: u32,
    /// How long past commits stay readable.
    pub history_window_hours: u32,
    /// How long events stay in the firehose.
    pub event_retention_hours: u32,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: None,
            pool_size: 16,
            schema: "public".into(),
            statement_timeout_seconds: 60,
            history_window_hours: 72,
            event_retention_hours: 72,
        }
    }
}

/// Without the URL: it may have a password in it.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &self.url.as_ref().map(|_| "..."))
            .field("pool_size", &self.pool_size)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
