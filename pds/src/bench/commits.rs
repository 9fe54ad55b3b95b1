//! `pds bench commits`

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Error, Reason, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::disk::Disk;
use super::load::{Clients, Taken, set_up};
use super::scratch::Scratch;
use super::usage::{self, Written};
use super::{Common, blocking};
use crate::config::{BackendName, Config};

/// Clients at the most: each has a repo of its own at least.
const CLIENTS_MAX: usize = super::standard::REPOS;

/// `pds bench commits`
#[derive(Debug, Clone, Args)]
pub struct Commits {
    /// How many callers write at the same time; one run for each number.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,128")]
    clients: Vec<usize>,
    /// Length of each run.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Commits after which a run ends sooner.
    #[arg(long)]
    commits: Option<usize>,
    /// The engine, or both side by side; without it, the configuration's.
    #[arg(long)]
    backend: Option<Engines>,
    #[command(flatten)]
    common: Common,
}

/// Engines to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engines {
    Tranquil,
    Postgres,
    Both,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    disk: Disk,
    runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    backend: String,
    clients: usize,
    commits: u64,
    seconds: f64,
    commits_per_s: f64,
    cycles: u64,
    syncs: u64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    cycle_us_max: u64,
    /// Bytes given to write calls; of a server, bytes of its log.
    bytes_written_per_commit: f64,
    /// What the disk took meanwhile, from anyone.
    disk_bytes_per_commit: Option<f64>,
    cpu_us_per_commit: f64,
    rss_bytes: u64,
}

impl Commits {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    pub async fn run(self, config: &Config) -> Result<()> {
        let is_time = self.seconds.is_finite() && (0.0..=86_400.0).contains(&self.seconds);
        if !is_time || self.clients.iter().any(|n| !(1..=CLIENTS_MAX).contains(n)) {
            let detail = format!("a run has 1 to {CLIENTS_MAX} clients, and takes a day at the most");
            return Err(Error::new(Reason::BadRequest, detail));
        }
        let disk = {
            let scratch = Scratch::create(&self.common, config, "disk")?;
            let directory = scratch.path().to_owned();
            blocking(move || Disk::measure(&directory)).await?
        };
        let engines = match self.backend {
            None => vec![config.storage.backend],
            Some(Engines::Tranquil) => vec![BackendName::Tranquil],
            Some(Engines::Postgres) => vec![BackendName::Postgres],
            Some(Engines::Both) => vec![BackendName::Tranquil, BackendName::Postgres],
        };
        let mut runs = Vec::with_capacity(self.clients.len() * engines.len());
        for clients in &self.clients {
            for engine in &engines {
                let scratch = Scratch::create(&self.common, config, "commits")?.with_engine(*engine);
                let run = self.one(&scratch, *clients).await;
                scratch.end().await?;
                runs.push(run?);
            }
        }
        self.common.print(&Report { disk, runs }, words)
    }

    async fn one(&self, scratch: &Scratch, clients: usize) -> Result<Run> {
        let backend = scratch.open().await?;
        let repos = set_up(&backend).await?;
        // Opened again, so that the counters tell of the run only.
        backend.close().await?;
        drop(backend);
        let backend = scratch.open().await?;
        let before = (written(scratch).await, Counters::read(&*backend).await?);
        let taken: Taken = Arc::new(|_, _| {});
        let time = Duration::from_secs_f64(self.seconds);
        let measured =
            Clients::new(clients, repos).run(&backend, self.commits.unwrap_or(usize::MAX), time, None, &taken).await?;
        let rss_bytes = usage::rss_bytes();
        let counters = Counters::read(&*backend).await?;
        let after = written(scratch).await;
        let disk_bytes = after.disk_bytes(before.0);
        // A server writes in processes of its own, perhaps elsewhere, and says how much it logged.
        let (bytes, disk_bytes) = match (before.1.logged_bytes, counters.logged_bytes) {
            (Some(before), Some(after)) => (after - before, None),
            _ => (after.call_bytes(before.0), disk_bytes),
        };
        backend.close().await?;
        let latency = measured.latencies.summary();
        let per_commit = |amount: f64| (amount / latency.count.max(1) as f64 * 10.0).round() / 10.0;
        let seconds = measured.elapsed.as_secs_f64();
        Ok(Run {
            backend: counters.backend,
            clients,
            commits: latency.count,
            seconds: (seconds * 1e3).round() / 1e3,
            commits_per_s: (latency.count as f64 / seconds).round(),
            cycles: counters.cycles,
            syncs: counters.syncs,
            p50_us: latency.p50_us,
            p99_us: latency.p99_us,
            max_us: latency.max_us,
            cycle_us_max: counters.cycle_us_max,
            bytes_written_per_commit: per_commit(bytes as f64),
            disk_bytes_per_commit: disk_bytes.map(|bytes| per_commit(bytes as f64)),
            cpu_us_per_commit: per_commit(measured.cpu.as_secs_f64() * 1e6),
            rss_bytes,
        })
    }
}

async fn written(scratch: &Scratch) -> Written {
    let directory = scratch.path().to_owned();
    blocking(move || Written::now(&directory)).await
}

/// The engine's counters that a run is about.
struct Counters {
    backend: String,
    /// Bytes of the server's log; none if the engine writes by itself.
    logged_bytes: Option<u64>,
    cycles: u64,
    syncs: u64,
    cycle_us_max: u64,
}

impl Counters {
    async fn read(backend: &dyn Backend) -> Result<Self> {
        let stats = backend.stats().await?;
        let found = |name: &str| stats.counters.iter().find(|(known, _)| known == name).map(|(_, n)| *n);
        let counter = |name: &str| found(name).unwrap_or(0);
        Ok(Self {
            logged_bytes: found("server_wal_bytes"),
            cycles: counter("cycles"),
            syncs: counter("syncs"),
            cycle_us_max: counter("cycle_us_max"),
            backend: stats.backend,
        })
    }
}

fn words(report: &Report) -> String {
    let mut lines = vec![
        report.disk.words(),
        "backend  clients  commits/s   p50 us   p99 us    max us  stall us   cycles    syncs  bytes/commit  disk/commit  CPU us  RSS MB"
            .into(),
    ];
    lines.extend(report.runs.iter().map(|run| {
        format!(
            "{:<8} {:>7} {:>10.0} {:>8.0} {:>8.0} {:>9.0} {:>9} {:>8} {:>8} {:>13.0} {:>12} {:>7.1} {:>7.0}",
            run.backend,
            run.clients,
            run.commits_per_s,
            run.p50_us,
            run.p99_us,
            run.max_us,
            run.cycle_us_max,
            run.cycles,
            run.syncs,
            run.bytes_written_per_commit,
            run.disk_bytes_per_commit.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.0}")),
            run.cpu_us_per_commit,
            run.rss_bytes as f64 / 1e6
        )
    }));
    lines.join("\n")
}
