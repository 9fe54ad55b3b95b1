//! `pds dev-writer`: writes until it is killed, and tells on standard output what was acknowledged and what a subscriber saw.
//!
//! ```text
//! acked DID REV CID SEQ      a commit was acknowledged; SEQ is its event
//! seen SEQ HASH              a subscriber had the event; HASH is the start of the frame's SHA-256
//! ```

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use backend_api::{Backend, Result, Seq};
use clap::Args;
use sha2::{Digest, Sha256};

use super::blocking;
use super::scratch::store_config;
use super::standard::{Random, letters};
use super::trees::TreeRepo;
use crate::env;
use crate::storage::{open, open_strained};

/// Events that the subscriber asks for at once.
const PAGE_EVENTS: usize = 200;
const PAGE_BYTES: usize = 1 << 20;

/// `pds dev-writer`
#[derive(Debug, Clone, Args)]
pub struct DevWriter {
    /// The store's directory.
    #[arg(long)]
    directory: PathBuf,
    /// Writers at the same time.
    #[arg(long, default_value_t = 32)]
    writers: usize,
    /// Repos of each.
    #[arg(long, default_value_t = 2)]
    repos: usize,
    /// What the records and the choices are made from.
    #[arg(long)]
    seed: u64,
    /// Tell of each writer's first commit only.
    #[arg(long)]
    quiet: bool,
    /// Open the store with files and memory as small as can be.
    #[arg(long)]
    strained: bool,
}

impl DevWriter {
    /// Writes until it is killed.
    ///
    /// # Errors
    /// The first that a writer meets.
    pub async fn run(self) -> Result<()> {
        let storage = store_config(&self.directory).storage;
        let backend =
            if self.strained { blocking(move || open_strained(&storage)).await? } else { open(&storage).await? };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..self.writers {
            tasks.spawn(write(self.clone(), Arc::clone(&backend), number));
        }
        if !self.quiet {
            tasks.spawn(subscribe(backend));
        }
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(result) => result?,
                Err(e) => std::panic::resume_unwind(e.into_panic()),
            }
        }
        Ok(())
    }
}

/// The DIDs that writer `number` of them writes to.
fn dids(number: usize, repos: usize) -> impl Iterator<Item = String> {
    (0..repos).map(move |repo| format!("did:plc:killed{}", letters((number * repos + repo) as u64, 18)))
}

async fn write(options: DevWriter, backend: Arc<dyn Backend>, number: usize) -> Result<()> {
    let mut random = Random::new(options.seed ^ (number as u64) << 48);
    let mut repos = Vec::with_capacity(options.repos);
    for did in dids(number, options.repos) {
        repos.push(TreeRepo::load(&*backend, did.parse()?).await?);
    }
    if repos.is_empty() {
        return Ok(());
    }
    for commit in 0_u64.. {
        let chosen = random.below(repos.len() as u64) as usize;
        let repo = &mut repos[chosen];
        let prepared = repo.prepare(&*backend, &mut random, env::now().0).await?;
        let receipt = backend.apply(prepared.mutation.clone()).await?;
        if !options.quiet || commit == 0 {
            let (did, head) = (repo.did(), prepared.head);
            tell(&format!("acked {did} {} {} {}\n", head.rev, head.cid, receipt.first_seq));
        }
        repo.taken(prepared);
    }
    Ok(())
}

/// Follows the firehose from where it is.
async fn subscribe(backend: Arc<dyn Backend>) -> Result<()> {
    let mut after: Seq = backend.event_window().await?.head;
    loop {
        backend.wait_events(after).await?;
        for event in backend.events(after, PAGE_EVENTS, PAGE_BYTES).await? {
            tell(&format!("seen {} {}\n", event.seq, frame_hash(&event.frame)));
            after = event.seq;
        }
    }
}

/// The start of a frame's SHA-256.
fn frame_hash(frame: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(frame)[..8])
}

/// One system call for each line, so that a kill cuts at most the last one. Nobody listening is no reason to stop.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
