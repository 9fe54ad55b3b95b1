//! `pds bench events`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backend_api::{Backend, Error, Reason, Result, Seq};
use clap::Args;
use serde::Serialize;

use super::Common;
use super::crowd::Crowd;
use super::latency::{Latencies, Summary};
use super::load::{Clients, NO_LIMIT, Taken, set_up};
use super::scratch::Scratch;
use crate::config::Config;

/// Events and bytes asked for at once, as a subscriber does.
pub const PAGE_EVENTS: usize = 1_000;
pub const PAGE_BYTES: usize = 4 << 20;

/// Callers that write.
const CLIENTS: usize = 64;

/// `pds bench events`
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// Lengths of the log, in events, at which catching up is measured.
    #[arg(long, value_delimiter = ',', default_value = "20000,60000,120000")]
    sizes: Vec<usize>,
    /// How long live delivery is measured; and, about, the writers before a crowd, and alone.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Subscribers of the crowd that follows the writers live; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    subscribers: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Report {
    append: Append,
    live: Live,
    catch_up: Vec<CatchUp>,
    crowd: Option<Crowd>,
}

/// Appending, as a part of commits at full load.
#[derive(Debug, Serialize)]
struct Append {
    events: u64,
    events_per_s: f64,
    mb_per_s: f64,
}

/// From the acknowledgement of a commit to the moment when a subscriber has its event. An event that the subscriber has
/// before the writer is told counts as 0.
#[derive(Debug, Serialize)]
struct Live {
    commits_per_s: f64,
    latency: Summary,
}

/// Reading everything from the start.
#[derive(Debug, Serialize)]
struct CatchUp {
    events: u64,
    mb: f64,
    mb_per_s: f64,
}

impl Events {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    pub async fn run(self, config: &Config) -> Result<()> {
        if self.sizes.is_empty() || !self.seconds.is_finite() || !(0.1..=3_600.0).contains(&self.seconds) {
            return Err(Error::new(Reason::BadRequest, "one size at least, and 0.1 to 3,600 seconds"));
        }
        let scratch = Scratch::create(&self.common, config, "events")?;
        let backend = scratch.open().await?;
        let mut clients = Clients::new(CLIENTS, set_up(&backend).await?);
        let none: Taken = Arc::new(|_, _| {});
        let mut sizes = self.sizes.clone();
        sizes.sort_unstable();
        let (mut append, mut catch_up) = (None, Vec::new());
        for size in sizes {
            let head = backend.event_window().await?.head;
            let more = (size as u64).saturating_sub(head.get()) as usize;
            let measured = clients.run(&backend, more, NO_LIMIT, None, &none).await?;
            let read = read_all(&*backend, Seq::ZERO).await?;
            append = append.or_else(|| (more > 0).then(|| Append::new(more, measured.elapsed, &read)));
            catch_up.push(read);
        }
        let append = append.unwrap_or(Append { events: 0, events_per_s: 1_000.0, mb_per_s: 0.0 });
        let live = live(&backend, &mut clients, append.events_per_s / 2.0, self.seconds).await?;
        let commits = (append.events_per_s * self.seconds) as usize;
        let crowd = match self.subscribers {
            0 => None,
            count => Some(Crowd::measure(&backend, &mut clients, count, commits).await?),
        };
        backend.close().await?;
        self.common.print(&Report { append, live, catch_up, crowd }, words)
    }
}

impl Append {
    fn new(events: usize, elapsed: Duration, read: &CatchUp) -> Self {
        let events_per_s = events as f64 / elapsed.as_secs_f64();
        let mb_per_event = read.mb / read.events.max(1) as f64;
        Self {
            events: events as u64,
            events_per_s: events_per_s.round(),
            mb_per_s: (mb_per_event * events_per_s).round(),
        }
    }
}

async fn read_all(backend: &dyn Backend, from: Seq) -> Result<CatchUp> {
    let start = Instant::now();
    let (mut after, mut events, mut bytes) = (from, 0, 0);
    loop {
        let page = backend.events(after, PAGE_EVENTS, PAGE_BYTES).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        events += page.len() as u64;
        bytes += page.iter().map(|event| event.frame.len() as u64).sum::<u64>();
    }
    let mb = bytes as f64 / 1e6;
    let mb_per_s = (mb / start.elapsed().as_secs_f64()).round();
    Ok(CatchUp { events, mb: mb.round(), mb_per_s })
}

/// When each event was acknowledged, in nanoseconds since the start, by its number.
struct Acknowledged {
    start: Instant,
    first: u64,
    at_ns: Vec<AtomicU64>,
}

impl Acknowledged {
    fn slot(&self, seq: Seq) -> Option<&AtomicU64> {
        self.at_ns.get(usize::try_from(seq.get().checked_sub(self.first)?).ok()?)
    }

    fn ns(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

async fn live(backend: &Arc<dyn Backend>, clients: &mut Clients, per_s: f64, seconds: f64) -> Result<Live> {
    let head = backend.event_window().await?.head;
    // Whole rounds of all clients.
    let commits = ((per_s * seconds) as usize).div_ceil(CLIENTS) * CLIENTS;
    let at_ns = std::iter::repeat_with(AtomicU64::default).take(commits).collect();
    let acknowledged = Arc::new(Acknowledged { start: Instant::now(), first: head.get() + 1, at_ns });
    let last = head.plus(commits as u64)?;
    let subscriber = tokio::spawn(subscribe(Arc::clone(backend), head, last));
    let taken: Taken = {
        let acknowledged = Arc::clone(&acknowledged);
        Arc::new(move |receipt, at| {
            if let Some(slot) = acknowledged.slot(receipt.first_seq) {
                slot.store(acknowledged.ns(at), Ordering::Relaxed);
            }
        })
    };
    let measured = clients.run(backend, commits, NO_LIMIT, Some(per_s), &taken).await?;
    let received = match subscriber.await {
        Ok(received) => received?,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    };
    let mut latencies = Latencies::with_capacity(received.len());
    for (seq, at) in received {
        if let Some(slot) = acknowledged.slot(seq) {
            let ns = acknowledged.ns(at).saturating_sub(slot.load(Ordering::Relaxed));
            latencies.push(Duration::from_nanos(ns));
        }
    }
    let commits_per_s = (commits as f64 / measured.elapsed.as_secs_f64()).round();
    Ok(Live { commits_per_s, latency: latencies.summary() })
}

/// One subscriber: wakes, reads, notes when it had each event.
async fn subscribe(backend: Arc<dyn Backend>, after: Seq, last: Seq) -> Result<Vec<(Seq, Instant)>> {
    let mut received = Vec::new();
    let mut after = after;
    while after < last {
        backend.wait_events(after).await?;
        let page = backend.events(after, PAGE_EVENTS, PAGE_BYTES).await?;
        let now = Instant::now();
        received.extend(page.iter().map(|event| (event.seq, now)));
        after = page.last().map_or(after, |event| event.seq);
    }
    Ok(received)
}

fn words(report: &Report) -> String {
    let Report { append, live, catch_up, crowd } = report;
    let latency = live.latency;
    let mut lines = vec![
        format!("append:   {:.0} events/s, {:.0} MB/s", append.events_per_s, append.mb_per_s),
        format!(
            "live:     at {:.0} commits/s: p50 {:.0} us, p99 {:.0} us, max {:.0} us after the acknowledgement",
            live.commits_per_s, latency.p50_us, latency.p99_us, latency.max_us
        ),
    ];
    lines.extend(
        catch_up.iter().map(|c| format!("catch-up: {:.0} MB/s over {} events ({:.0} MB)", c.mb_per_s, c.events, c.mb)),
    );
    lines.extend(crowd.iter().map(Crowd::words));
    lines.join("\n")
}
