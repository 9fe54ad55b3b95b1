//! Putting load on a store: repos set up, commits made before the clock starts, clients that send them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{Backend, Mutation, Receipt, Result};

use super::latency::Latencies;
use super::standard::Repo;
use super::{blocking, usage};

/// Commits that are made ahead, over all clients: about 70 MB.
pub const BATCH_COMMITS: usize = 16_384;

/// Mutations of one `apply_many` while repos are set up.
const SETUP_BATCH: usize = 250;

/// Creates all repos of the standard load.
///
/// # Errors
/// Those of the store.
pub async fn set_up(backend: &Arc<dyn Backend>) -> Result<Vec<Repo>> {
    let mut repos = Repo::all()?;
    for batch in repos.chunks_mut(SETUP_BATCH) {
        let firsts = batch.iter_mut().map(Repo::first).collect::<Result<_>>()?;
        for result in backend.apply_many(firsts).await {
            result?;
        }
    }
    Ok(repos)
}

/// The clients of one run, each with its repos.
pub struct Clients {
    repos: Vec<Vec<Repo>>,
}

/// What one measured batch took.
#[derive(Default)]
pub struct Measured {
    /// Wall time while clients ran, and what the engine worked between batches, spread over the cores.
    pub elapsed: Duration,
    /// CPU time of the process but for making the load: also what ran in the background between batches.
    pub cpu: Duration,
    /// Of each call.
    pub latencies: Latencies,
}

impl Measured {
    /// Adds what another took, after this.
    pub fn append(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.latencies.append(other.latencies);
    }
}

/// Time that does not end a run before its commits are written.
pub const NO_LIMIT: Duration = Duration::from_secs(86_400);

/// What happens to each receipt, with the moment at which the client had it.
pub type Taken = Arc<dyn Fn(&Receipt, Instant) + Send + Sync>;

impl Clients {
    /// Deals the repos out to `count` clients.
    pub fn new(count: usize, repos: Vec<Repo>) -> Self {
        let mut dealt: Vec<Vec<Repo>> = (0..count.max(1)).map(|_| Vec::new()).collect();
        for (number, repo) in repos.into_iter().enumerate() {
            dealt[number % count.max(1)].push(repo);
        }
        Self { repos: dealt }
    }

    /// The repos. They are as the store has them, unless a run ended because its time was over.
    pub fn repos(&self) -> impl Iterator<Item = &Repo> {
        self.repos.iter().flatten()
    }

    /// Runs until `commits` were written or `time` has passed, whatever comes first.
    ///
    /// With `pace`, each client waits until its next commit is due, so that all together write that many a second.
    ///
    /// # Errors
    /// The first error that any client met.
    pub async fn run(
        &mut self,
        backend: &Arc<dyn Backend>,
        commits: usize,
        time: Duration,
        pace: Option<f64>,
        taken: &Taken,
    ) -> Result<Measured> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let mut total = Measured::default();
        let mut left = commits;
        while left > 0 && total.elapsed < time {
            let start = usage::process_cpu();
            let (batches, making) = self.make(left.min(BATCH_COMMITS)).await?;
            let sending = usage::process_cpu();
            // What the engine did behind the making is charged as if it had held up the clients.
            total.elapsed += (sending - start).saturating_sub(making) / cores;
            let count = batches.iter().map(Vec::len).sum::<usize>();
            let batch = send(backend, batches, time.saturating_sub(total.elapsed), pace, taken).await?;
            total.append(Measured { cpu: (usage::process_cpu() - start).saturating_sub(making), ..batch });
            left -= count.min(left);
        }
        Ok(total)
    }

    /// Makes about `count` commits, in equal parts for each client; says what CPU time that took.
    async fn make(&mut self, count: usize) -> Result<(Vec<Vec<Mutation>>, Duration)> {
        let each = count.div_ceil(self.repos.len());
        let clients = std::mem::take(&mut self.repos);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(clients.len()).max(1);
        let mut shares: Vec<Vec<Vec<Repo>>> = (0..threads).map(|_| Vec::new()).collect();
        for (number, repos) in clients.into_iter().enumerate() {
            shares[number % threads].push(repos);
        }
        let tasks: Vec<_> = shares.into_iter().map(|share| blocking(move || make_share(share, each))).collect();
        let (mut batches, mut cpu) = (Vec::new(), Duration::ZERO);
        for made in futures::future::join_all(tasks).await {
            let (share, mutations, used) = made?;
            self.repos.extend(share);
            batches.extend(mutations);
            cpu += used;
        }
        Ok((batches, cpu))
    }
}

type Share = (Vec<Vec<Repo>>, Vec<Vec<Mutation>>, Duration);

fn make_share(mut share: Vec<Vec<Repo>>, each: usize) -> Result<Share> {
    let before = usage::thread_cpu();
    let mut batches = Vec::with_capacity(share.len());
    for repos in &mut share {
        let mut batch = Vec::with_capacity(each);
        // Round and round, so that a repo's commits are as far apart as can be.
        let count = repos.len().max(1);
        for turn in 0..each {
            batch.push(repos[turn % count].next()?);
        }
        repos.rotate_left(each % count);
        batches.push(batch);
    }
    Ok((share, batches, usage::thread_cpu() - before))
}

async fn send(
    backend: &Arc<dyn Backend>,
    batches: Vec<Vec<Mutation>>,
    time: Duration,
    pace: Option<f64>,
    taken: &Taken,
) -> Result<Measured> {
    let start = Instant::now();
    let clients = batches.len();
    let interval = pace.map(|per_s| Duration::from_secs_f64(clients as f64 / per_s));
    let tasks: Vec<_> = batches
        .into_iter()
        .enumerate()
        .map(|(number, batch)| {
            let (backend, taken) = (Arc::clone(backend), Arc::clone(taken));
            // Clients begin one after the other, not all at once.
            let first = interval.map_or(start, |every| start + every * number as u32 / clients as u32);
            tokio::spawn(async move { client(&*backend, batch, (first, interval), start + time, &taken).await })
        })
        .collect();
    let mut latencies = Latencies::default();
    for task in tasks {
        match task.await {
            Ok(of_one) => latencies.append(of_one?),
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }
    Ok(Measured { elapsed: start.elapsed(), cpu: Duration::ZERO, latencies })
}

async fn client(
    backend: &dyn Backend,
    batch: Vec<Mutation>,
    (first, interval): (Instant, Option<Duration>),
    end: Instant,
    taken: &Taken,
) -> Result<Latencies> {
    let mut latencies = Latencies::with_capacity(batch.len());
    for (turn, mutation) in batch.into_iter().enumerate() {
        if let Some(every) = interval {
            tokio::time::sleep_until((first + every * turn as u32).into()).await;
        }
        let before = Instant::now();
        if before >= end {
            break;
        }
        let receipt = backend.apply(mutation).await?;
        let after = Instant::now();
        latencies.push(after - before);
        taken(&receipt, after);
    }
    Ok(latencies)
}
