//! What many live subscribers cost the writers: the same load alone and before a crowd, by turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backend_api::{Backend, Result, Seq};
use serde::Serialize;
use tokio::task::JoinSet;

use super::events::{PAGE_BYTES, PAGE_EVENTS};
use super::load::{Clients, Measured, NO_LIMIT, Taken};

/// Turns of each kind: the machine's own pace changes meanwhile, and so does the store's as it grows.
const TURNS: usize = 8;

/// The load before a crowd, and alone.
#[derive(Debug, Serialize)]
pub struct Crowd {
    subscribers: usize,
    /// Events that subscribers were given, over all of them.
    delivered_per_s: f64,
    alone: Load,
    followed: Load,
    /// Of the cores that were busy alone, how many are with the crowd there. Below 1, subscribers make writers wait for
    /// something else than a core.
    busy_ratio: f64,
    /// CPU that the crowd takes, for each event that a subscriber is given.
    cpu_us_per_delivery: f64,
}

/// Commits of one kind of turn.
#[derive(Debug, Serialize)]
struct Load {
    commits_per_s: f64,
    /// CPU time of the process, per second.
    cores: f64,
    cpu_us_per_commit: f64,
}

impl Load {
    fn new(measured: &Measured) -> Self {
        let (seconds, cpu_s) = (measured.elapsed.as_secs_f64(), measured.cpu.as_secs_f64());
        let commits = measured.latencies.count().max(1) as f64;
        Self {
            commits_per_s: (commits / seconds).round(),
            cores: (cpu_s / seconds * 100.0).round() / 100.0,
            cpu_us_per_commit: (cpu_s / commits * 1e7).round() / 10.0,
        }
    }
}

impl Crowd {
    /// Measures with so many commits of each kind.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn measure(
        backend: &Arc<dyn Backend>,
        clients: &mut Clients,
        subscribers: usize,
        commits: usize,
    ) -> Result<Self> {
        let commits = commits.div_ceil(TURNS);
        let none: Taken = Arc::new(|_, _| {});
        let delivered = Arc::new(AtomicU64::new(0));
        let (mut alone, mut followed) = (Measured::default(), Measured::default());
        for _ in 0..TURNS {
            alone.append(clients.run(backend, commits, NO_LIMIT, None, &none).await?);
            let head = backend.event_window().await?.head;
            let mut crowd = JoinSet::new();
            for _ in 0..subscribers {
                crowd.spawn(follow(Arc::clone(backend), head, Arc::clone(&delivered)));
            }
            followed.append(clients.run(backend, commits, NO_LIMIT, None, &none).await?);
            crowd.shutdown().await;
        }
        let delivered = delivered.load(Ordering::Relaxed) as f64;
        let (alone, seconds) = (Load::new(&alone), followed.elapsed.as_secs_f64());
        let followed = Load::new(&followed);
        let more_us = followed.cpu_us_per_commit - alone.cpu_us_per_commit;
        Ok(Self {
            subscribers,
            delivered_per_s: (delivered / seconds).round(),
            busy_ratio: (followed.cores / alone.cores * 100.0).round() / 100.0,
            cpu_us_per_delivery: (more_us * followed.commits_per_s * seconds / delivered.max(1.0) * 100.0).round()
                / 100.0,
            alone,
            followed,
        })
    }

    /// For people.
    pub fn words(&self) -> String {
        let Self { subscribers, alone, followed, .. } = self;
        format!(
            "crowd:    {} commits/s alone, {} with {subscribers} subscribers, who are given {} events/s at {} us each; \
             {} cores busy alone, {} with them",
            alone.commits_per_s,
            followed.commits_per_s,
            self.delivered_per_s,
            self.cpu_us_per_delivery,
            alone.cores,
            followed.cores
        )
    }
}

/// One of the crowd. Ends when it is told to, or when the store cannot be read, which the writers will hear too.
async fn follow(backend: Arc<dyn Backend>, mut after: Seq, delivered: Arc<AtomicU64>) -> Result<()> {
    loop {
        backend.wait_events(after).await?;
        let page = backend.events(after, PAGE_EVENTS, PAGE_BYTES).await?;
        delivered.fetch_add(page.len() as u64, Ordering::Relaxed);
        after = page.last().map_or(after, |event| event.seq);
    }
}
