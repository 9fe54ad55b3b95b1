//! What came of an operator's request, as `--json` prints it.

use std::collections::BTreeMap;

use backend_api::{Cid, Did, RepoState, Stats, SweepReport, Tid, VerifyLevel, VerifyReport};
use serde::{Deserialize, Serialize};

use crate::control;

/// Bytes of a list of sentences at the most: more than anybody reads, and a report has to fit one answer of the server.
const LIST_BYTES_MAX: usize = 4 << 20;
const _: () = assert!(2 * 2 * LIST_BYTES_MAX < control::ANSWER_BYTES_MAX, "two lists, their quotes escaped");

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of an import.
    Imported(Imported),
    /// Of an export.
    Exported(Exported),
    /// Of a verification.
    Verified(Verified),
    /// Of a look at the figures.
    Figures(Figures),
    /// Of a checkpoint.
    Checkpointed(Checkpointed),
    /// Of a sweep.
    Swept(Swept),
}

/// A repository that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The file.
    pub file: String,
    /// Whose repository.
    pub did: Did,
    /// Its rev, as the commit says.
    pub rev: Tid,
    /// Its commit.
    pub commit: Cid,
    /// Tree nodes and records, and the commit block.
    pub blocks: u64,
    /// Records.
    pub records: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// Blocks of the file that the tree does not reach, or that stand there again; they were left out.
    pub left_out: u64,
    /// True if the import created the account.
    pub account_created: bool,
}

/// A repository that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Whose repository.
    pub did: Did,
    /// Its rev.
    pub rev: Tid,
    /// Its commit.
    pub commit: Cid,
    /// Blocks in the file.
    pub blocks: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Exported {
    /// Nothing yet of a repository's state.
    #[must_use]
    pub fn new(did: &Did, state: &RepoState) -> Self {
        Self { did: did.clone(), rev: state.head.rev, commit: state.head.cid, blocks: 0, bytes: 0 }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether every byte was read.
    pub deep: bool,
    /// Repos looked at.
    pub repos: u64,
    /// Records looked at.
    pub records: u64,
    /// Blocks looked at.
    pub blocks: u64,
    /// Bytes of blocks hashed.
    pub bytes: u64,
    /// Events looked at.
    pub events: u64,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// How many more there are than are named.
    #[serde(default)]
    pub problems_more: u64,
    /// What was damaged and is whole again, one sentence each.
    pub healed: Vec<String>,
    /// How many more there are than are named.
    #[serde(default)]
    pub healed_more: u64,
}

impl Verified {
    /// From the backend's report.
    #[must_use]
    pub fn new(report: VerifyReport, level: VerifyLevel) -> Self {
        let VerifyReport { repos, records, blocks, bytes, events, mut problems, mut healed } = report;
        Self {
            deep: level != VerifyLevel::Quick,
            repos,
            records,
            blocks,
            bytes,
            events,
            problems_more: shorten(&mut problems),
            problems,
            healed_more: shorten(&mut healed),
            healed,
        }
    }
}

/// Leaves the first sentences of a list, and gives how many were cut off.
fn shorten(list: &mut Vec<String>) -> u64 {
    let mut bytes = 0;
    let fits = list.iter().take_while(|sentence| {
        bytes += sentence.len();
        bytes <= LIST_BYTES_MAX
    });
    let named = fits.count();
    let more = list.len() - named;
    list.truncate(named);
    more as u64
}

/// Figures of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The backend's name.
    pub backend: String,
    /// Number of the newest mutation.
    pub position: u64,
    /// Number of the newest event.
    pub head_seq: u64,
    /// Accounts.
    pub accounts: u64,
    /// Repos that are served.
    pub repos: u64,
    /// Records of these.
    pub records: u64,
    /// References that they hold.
    pub refs: u64,
    /// Bytes behind these references.
    pub bytes: u64,
    /// Bytes on disk, by what they are for.
    pub space_bytes: BTreeMap<String, u64>,
    /// Counters of the engine since it was opened.
    pub counters: BTreeMap<String, u64>,
    /// Why writing has stopped, if it has.
    pub stopped: Option<String>,
}

impl From<Stats> for Figures {
    fn from(stats: Stats) -> Self {
        Self {
            backend: stats.backend,
            position: stats.pos.0,
            head_seq: stats.head.get(),
            accounts: stats.accounts,
            repos: stats.repos,
            records: stats.records,
            refs: stats.refs,
            bytes: stats.bytes,
            space_bytes: stats.space.parts.into_iter().collect(),
            counters: stats.counters.into_iter().collect(),
            stopped: stats.stopped,
        }
    }
}

/// A checkpoint that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// The newest mutation.
    pub position: u64,
}

/// What a sweep forgot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swept {
    /// True if nothing that is due is left.
    pub done: bool,
    /// Blocks forgotten.
    pub blocks: u64,
    /// Records, commits, receipts and indexes forgotten.
    pub entries: u64,
    /// Rows that expired.
    pub rows: u64,
    /// Events dropped.
    pub events: u64,
    /// What stands still, and why.
    pub held: Vec<String>,
}

impl Swept {
    /// Adds a step.
    pub fn add(&mut self, step: &SweepReport) {
        self.done = step.done;
        self.blocks += step.blocks;
        self.entries += step.entries;
        self.rows += step.rows;
        self.events += step.events;
        self.held.clone_from(&step.held);
    }
}
