//! `pds bench open`

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use backend_api::{Backend, Error, Reason, Result};
use clap::Args;
use serde::Serialize;

use super::load::{Clients, NO_LIMIT, Taken, set_up};
use super::scratch::Scratch;
use super::{Common, blocking, failed};
use crate::config::Config;

/// The directory of what the embedded engine can build again.
const META_DIRECTORY: &str = "meta";

/// `pds bench open`
#[derive(Debug, Clone, Args)]
pub struct Open {
    /// Commits in the store that is opened after a close.
    #[arg(long, default_value_t = 60_000)]
    commits: usize,
    /// How long a process writes at full speed before it is killed.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Report {
    commits: u64,
    /// After a close.
    clean_ms: f64,
    /// With the metadata directory deleted; none if the engine has no such directory.
    rebuild_ms: Option<f64>,
    /// Commits after the kill, those of the clean store among them.
    commits_after_kill: u64,
    /// After SIGKILL in the middle of writing.
    after_kill_ms: f64,
}

impl Open {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    pub async fn run(self, config: &Config) -> Result<()> {
        if !self.seconds.is_finite() || !(0.0..=3_600.0).contains(&self.seconds) {
            return Err(Error::new(Reason::BadRequest, "0 to 3,600 seconds"));
        }
        let scratch = Scratch::create(&self.common, config, "open")?;
        let backend = scratch.open().await?;
        let mut clients = Clients::new(64, set_up(&backend).await?);
        let none: Taken = Arc::new(|_, _| {});
        clients.run(&backend, self.commits, NO_LIMIT, None, &none).await?;
        backend.close().await?;
        drop(backend);
        let (commits, clean_ms) = timed(&scratch).await?;
        let rebuild_ms = match meta_directory(&scratch) {
            Some(meta) => {
                std::fs::remove_dir_all(&meta).map_err(|e| failed(meta.display(), &e))?;
                Some(timed(&scratch).await?.1)
            }
            None => None,
        };
        let store = scratch.store();
        let time = Duration::from_secs_f64(self.seconds);
        blocking(move || write_and_kill(store, time)).await?;
        let (commits_after_kill, after_kill_ms) = timed(&scratch).await?;
        let report = Report { commits, clean_ms, rebuild_ms, commits_after_kill, after_kill_ms };
        self.common.print(&report, words)
    }
}

fn meta_directory(scratch: &Scratch) -> Option<PathBuf> {
    let meta = scratch.store().join(META_DIRECTORY);
    meta.is_dir().then_some(meta)
}

async fn timed(scratch: &Scratch) -> Result<(u64, f64)> {
    let start = Instant::now();
    let backend: Arc<dyn Backend> = scratch.open().await?;
    let ms = (start.elapsed().as_secs_f64() * 1e4).round() / 10.0;
    let commits = backend.position().await?.0;
    backend.close().await?;
    Ok((commits, ms))
}

/// How long a process may take until it has written something.
const FIRST_COMMIT_TIME_MAX: Duration = Duration::from_secs(60);

/// Has another process write at full speed for some time, and kills it.
fn write_and_kill(store: PathBuf, time: Duration) -> Result<()> {
    let program = std::env::current_exe().map_err(|e| failed("this program", &e))?;
    let mut child = Command::new(&program)
        .args(["dev-writer", "--seed", "1", "--quiet", "--directory"])
        .arg(store)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(program.display(), &e))?;
    let (told, first) = channel();
    let out = child.stdout.take();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = out.map(|out| BufReader::new(out).read_line(&mut line));
        // If nobody waits any more, it took too long.
        let _ = told.send(matches!(read, Some(Ok(1..))));
    });
    let wrote = first.recv_timeout(FIRST_COMMIT_TIME_MAX).unwrap_or(false);
    if wrote {
        std::thread::sleep(time);
    }
    let killed = child.kill();
    let status = child.wait().map_err(|e| failed("the writer", &e))?;
    killed.map_err(|e| failed("the writer", &e))?;
    match status.code() {
        None if !wrote => Err(Error::new(Reason::Closed, "the writer wrote nothing")),
        None => Ok(()),
        Some(code) => Err(Error::new(Reason::Closed, format!("the writer ended by itself, with code {code}"))),
    }
}

fn words(r: &Report) -> String {
    let rebuild = match r.rebuild_ms {
        Some(ms) => format!("{ms:.1} ms"),
        None => "not possible with this engine".into(),
    };
    format!(
        "after a close:           {:.1} ms ({} mutations)\nafter a kill:            {:.1} ms ({} mutations)\nmetadata built \
         again:    {rebuild}",
        r.clean_ms, r.commits, r.after_kill_ms, r.commits_after_kill
    )
}
