//! `pds bench reads`

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use backend_api::{Backend, Blocks, Cid, Did, Error, Reason, Result};
use clap::Args;
use rustix::fs::{Advice, fadvise};
use serde::Serialize;

use super::latency::{Latencies, Summary};
use super::load::{Clients, NO_LIMIT, Taken, set_up};
use super::scratch::Scratch;
use super::standard::Random;
use super::{Common, blocking, failed};
use crate::config::Config;

/// Blocks that are read again and again.
const HOT_BLOCKS: usize = 1_000;
/// Reads of these.
const HOT_READS: usize = 200_000;
/// Blocks that are read from the disk itself.
const COLD_BLOCKS: usize = 2_000;

/// `pds bench reads`
#[derive(Debug, Clone, Args)]
pub struct Reads {
    /// Commits that are written before.
    #[arg(long, default_value_t = 30_000)]
    commits: usize,
    #[command(flatten)]
    common: Common,
}

/// Of one block a call.
#[derive(Debug, Serialize)]
struct Report {
    /// Blocks that were just read.
    hot: Summary,
    /// Blocks that the store knows the places of, and the system has in memory; of the embedded engine.
    page_cached: Option<Summary>,
    /// Blocks that no call has read since the store was opened, in files that the system has in memory.
    opened: Summary,
    /// The same, in files that it has not.
    cold: Summary,
}

impl Reads {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    pub async fn run(self, config: &Config) -> Result<()> {
        let scratch = Scratch::create(&self.common, config, "reads")?;
        let backend = scratch.open().await?;
        let mut clients = Clients::new(64, set_up(&backend).await?);
        let none: Taken = Arc::new(|_, _| {});
        clients.run(&backend, self.commits, NO_LIMIT, None, &none).await?;
        let mut blocks: Vec<(Did, Cid)> =
            clients.repos().flat_map(|repo| repo.live().into_iter().map(|cid| (repo.did().clone(), cid))).collect();
        shuffle(&mut blocks);
        backend.checkpoint().await?;
        backend.close().await?;
        drop(backend);

        let backend = scratch.open().await?;
        let opened = read(&*backend, &blocks).await?;
        let hot = &blocks[..HOT_BLOCKS.min(blocks.len())];
        read(&*backend, hot).await?;
        let again: Vec<(Did, Cid)> = hot.iter().cycle().take(HOT_READS).cloned().collect();
        let hot = read(&*backend, &again).await?;
        backend.close().await?;
        drop(backend);

        let page_cached = match scratch.open_without_hot_blocks().await? {
            Some(backend) => {
                read(&*backend, &blocks).await?;
                let again = read(&*backend, &blocks).await?;
                backend.close().await?;
                Some(again)
            }
            None => None,
        };

        let store = scratch.store();
        blocking(move || forget_pages(&store)).await?;
        let backend = scratch.open().await?;
        let cold = read(&*backend, &blocks[..COLD_BLOCKS.min(blocks.len())]).await?;
        backend.close().await?;
        self.common.print(&Report { hot, page_cached, opened, cold }, words)
    }
}

/// Reads blocks one by one; each must be there.
async fn read(backend: &dyn Backend, blocks: &[(Did, Cid)]) -> Result<Summary> {
    let mut latencies = Latencies::with_capacity(blocks.len());
    for (did, cid) in blocks {
        let before = Instant::now();
        let found = backend.blocks(did, std::slice::from_ref(cid), Blocks::Live).await?;
        latencies.push(before.elapsed());
        if found.first().is_none_or(Option::is_none) {
            return Err(Error::new(Reason::DataCorrupt, format!("{did}: block {cid} was committed and is not there")));
        }
    }
    Ok(latencies.summary())
}

fn shuffle<T>(items: &mut [T]) {
    let mut random = Random::new(1);
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// Has the system drop what it holds in memory of the files below a directory.
fn forget_pages(directory: &Path) -> Result<()> {
    let at = |e: std::io::Error| failed(directory.display(), &e);
    for entry in std::fs::read_dir(directory).map_err(at)? {
        let entry = entry.map_err(at)?;
        if entry.file_type().map_err(at)?.is_dir() {
            forget_pages(&entry.path())?;
            continue;
        }
        let file = File::open(entry.path()).map_err(at)?;
        // Only clean pages can be dropped.
        file.sync_all().map_err(at)?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|e| at(e.into()))?;
    }
    Ok(())
}

fn words(report: &Report) -> String {
    let line = |name: &str, s: &Summary| {
        format!(
            "{name:<12} mean {:.2} us, p50 {:.2} us, p99 {:.2} us ({} reads)",
            s.mean_us, s.p50_us, s.p99_us, s.count
        )
    };
    let mut lines = vec![line("hot", &report.hot)];
    lines.extend(report.page_cached.as_ref().map(|page_cached| line("page-cached", page_cached)));
    lines.extend([line("just opened", &report.opened), line("cold", &report.cold)]);
    lines.join("\n")
}
