//! `pds bench commits`

use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Error, Reason, Result};
use clap::Args;
use serde::Serialize;

use super::disk::Disk;
use super::load::{Clients, Taken, set_up};
use super::scratch::Scratch;
use super::{Common, blocking, usage};
use crate::config::Config;

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
    #[command(flatten)]
    common: Common,
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
    bytes_written_per_commit: f64,
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
        let mut runs = Vec::with_capacity(self.clients.len());
        for clients in &self.clients {
            let scratch = Scratch::create(&self.common, config, "commits")?;
            runs.push(self.one(&scratch, *clients).await?);
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
        let written = usage::written_bytes();
        let taken: Taken = Arc::new(|_, _| {});
        let time = Duration::from_secs_f64(self.seconds);
        let measured =
            Clients::new(clients, repos).run(&backend, self.commits.unwrap_or(usize::MAX), time, None, &taken).await?;
        let written = usage::written_bytes() - written;
        let rss_bytes = usage::rss_bytes();
        let counters = Counters::read(&*backend).await?;
        backend.close().await?;
        let latency = measured.latencies.summary();
        let per_commit = |amount: f64| (amount / latency.count.max(1) as f64 * 10.0).round() / 10.0;
        let seconds = measured.elapsed.as_secs_f64();
        Ok(Run {
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
            bytes_written_per_commit: per_commit(written as f64),
            cpu_us_per_commit: per_commit(measured.cpu.as_secs_f64() * 1e6),
            rss_bytes,
        })
    }
}

/// The engine's counters that a run is about.
struct Counters {
    cycles: u64,
    syncs: u64,
    cycle_us_max: u64,
}

impl Counters {
    async fn read(backend: &dyn Backend) -> Result<Self> {
        let stats = backend.stats().await?;
        let counter = |name: &str| stats.counters.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
        Ok(Self { cycles: counter("cycles"), syncs: counter("syncs"), cycle_us_max: counter("cycle_us_max") })
    }
}

fn words(report: &Report) -> String {
    let mut lines = vec![
        report.disk.words(),
        "clients  commits/s   p50 us   p99 us    max us  stall us   cycles    syncs  bytes/commit  CPU us  RSS MB"
            .into(),
    ];
    lines.extend(report.runs.iter().map(|run| {
        format!(
            "{:>7} {:>10.0} {:>8.0} {:>8.0} {:>9.0} {:>9} {:>8} {:>8} {:>13.0} {:>7.1} {:>7.0}",
            run.clients,
            run.commits_per_s,
            run.p50_us,
            run.p99_us,
            run.max_us,
            run.cycle_us_max,
            run.cycles,
            run.syncs,
            run.bytes_written_per_commit,
            run.cpu_us_per_commit,
            run.rss_bytes as f64 / 1e6
        )
    }));
    lines.join("\n")
}
