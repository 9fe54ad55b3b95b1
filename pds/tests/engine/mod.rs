//! The engine that a test runs on. One body of tests serves all of them: a test program runs on its own engine, and then
//! starts itself once for each other one ([`once_more_on`]).
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;
use std::process::Command;

use pds::config::{BackendName, StorageConfig};
use postgres_fixture::Database;
use tempfile::TempDir;

/// Names the engine in the environment of a program that was started once more.
const ENGINE: &str = "TEST_ENGINE";

/// The engine that this program was started for, if it was started for one.
pub fn chosen() -> Option<BackendName> {
    match std::env::var(ENGINE).ok()?.as_str() {
        "tranquil" => Some(BackendName::Tranquil),
        "postgres" => Some(BackendName::Postgres),
        other => panic!("{ENGINE}: {other:?} is no engine"),
    }
}

pub fn is_postgres() -> bool {
    chosen() == Some(BackendName::Postgres)
}

/// Runs the tests of this program once more, on another engine; but for those whose names start with one of these.
pub fn once_more_on(engine: &str, skipped: &[&str]) {
    // What was started once more is not started once more.
    if std::env::var_os(ENGINE).is_some() || (engine == "postgres" && !postgres_fixture::available()) {
        return;
    }
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.env(ENGINE, engine).args(skipped.iter().flat_map(|name| ["--skip", name]));
    if let Ok(server) = postgres_fixture::server() {
        program.env("DATABASE_URL", server.admin_url());
    }
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "on {engine}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = said.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(passed > Some(1), "on {engine}: {said}");
    println!("on {engine}: {} tests", passed.unwrap_or_default());
}

/// Where a store is; it is removed with this.
pub struct Place {
    directory: TempDir,
    database: Option<Database>,
}

impl Place {
    /// An empty one for the engine that was chosen, by itself the embedded one.
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = match is_postgres() {
            true => Some(Database::from_template(prepare).await),
            false => None,
        };
        Self { directory, database }
    }

    /// The same, for a test without a runtime.
    pub fn new_blocking() -> Self {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(Self::new())
    }

    /// A directory for whatever else is needed.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration of the store.
    pub fn storage(&self) -> StorageConfig {
        let mut storage = StorageConfig::default();
        storage.tranquil.directory = Some(self.directory.path().join("store"));
        if let Some(database) = &self.database {
            storage.backend = BackendName::Postgres;
            storage.postgres.url = Some(database.url());
            storage.postgres.pool_size = 6;
        }
        storage
    }

    /// What a program over the store must find in its environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let Some(database) = &self.database else { return vec![("PDS_STORAGE_BACKEND", "tranquil".into())] };
        vec![
            ("PDS_STORAGE_BACKEND", "postgres".into()),
            ("PDS_STORAGE_POSTGRES_URL", database.url()),
            // The server of the tests is fast and not durable, which is warned of at every opening.
            ("RUST_LOG", "warn,backend_postgres::backend=error".into()),
        ]
    }

    /// The engine's name.
    pub fn backend(&self) -> &'static str {
        if self.database.is_some() { "postgres" } else { "tranquil" }
    }
}

async fn prepare(url: String) {
    let mut storage = StorageConfig { backend: BackendName::Postgres, ..StorageConfig::default() };
    storage.postgres.url = Some(url);
    pds::storage::open(&storage).await.unwrap().close().await.unwrap();
}
