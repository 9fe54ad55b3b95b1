//! What is due, and how it is forgotten.

use std::collections::BTreeSet;

use backend_api::{AccountId, Link};
use backend_api::{
    Cid, CommitRow, Did, IdempotencyKey, Micros, RecordPath, RepoId, RowKey, Seq, Sweep, SweepReport, Tid,
};

use super::state::State;
use crate::fixture::Options;

/// One entry to forget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Block(RepoId, Cid),
    Commit(RepoId, Tid),
    Receipt(Did, IdempotencyKey),
    Record(RepoId, RecordPath),
    BlobUse(RepoId, Cid, RecordPath),
    Link(RepoId, Link, RecordPath),
    Repo(RepoId),
    Blob(AccountId, Cid),
    /// The sweep itself, after all that it stands for.
    Sweep(Sweep),
    Row(RowKey),
    Event(Seq),
}

impl State {
    /// Forgets up to `budget` entries of what is due at `now`.
    pub(super) fn sweep(&mut self, now: Micros, options: Options, budget: usize) -> SweepReport {
        let mut due = Vec::new();
        self.due_history(now, options, &mut due);
        self.due_sweeps(now, options, &mut due);
        due.extend(self.row_expiries.iter().filter(|(at, _)| *at <= now).map(|(_, key)| Due::Row(key.clone())));
        let old = |at: Micros| at.0.saturating_add(options.event_retention_micros) < now.0;
        let old_events = self.events.values().filter(|event| old(event.at) && event.seq < self.head);
        due.extend(old_events.map(|event| Due::Event(event.seq)));
        // The same entry may be due twice, by its mutation and by a purge.
        let mut seen = BTreeSet::new();
        due.retain(|entry| seen.insert(entry.clone()));
        let mut report = SweepReport { done: due.len() <= budget, ..SweepReport::default() };
        for entry in due.into_iter().take(budget) {
            // Later mutations have no earlier time: what was forgotten because of its time stays so.
            self.swept_at = self.swept_at.max(now);
            match &entry {
                Due::Block(..) => report.blocks += 1,
                Due::Row(_) => report.rows += 1,
                Due::Event(_) => report.events += 1,
                _ => report.entries += 1,
            }
            self.forget(entry);
        }
        report
    }

    /// What mutations took away, longer ago than the history window. A receipt is forgotten last, as its mutation is done
    /// with then.
    fn due_history(&self, now: Micros, options: Options, due: &mut Vec<Due>) {
        let is_over = |at: Micros| at.0.saturating_add(options.history_window_micros) <= now.0;
        for ((repo, cid), block) in &self.blocks {
            if block.refs == 0 && self.taken_at(block.released).is_some_and(is_over) {
                due.push(Due::Block(*repo, *cid));
            }
        }
        let commits: Vec<(&(RepoId, Tid), &CommitRow)> = self.commits.iter().collect();
        for pair in commits.windows(2) {
            let [((repo, rev), _), ((next_repo, _), next)] = pair else { continue };
            if repo == next_repo && is_over(next.at) {
                due.push(Due::Commit(*repo, *rev));
            }
        }
        for ((did, key), row) in &self.receipts {
            if is_over(row.receipt.at) {
                due.push(Due::Receipt(did.clone(), *key));
            }
        }
    }

    fn due_sweeps(&self, now: Micros, options: Options, due: &mut Vec<Due>) {
        for (sweep, since) in &self.sweeps {
            let is_over = since.0.saturating_add(options.history_window_micros) <= now.0;
            match *sweep {
                Sweep::Repo(id) if is_over => self.due_generation(id, due),
                Sweep::Blobs(account) if is_over => {
                    let blobs = self.blobs.keys().filter(|(id, _)| *id == account);
                    due.extend(blobs.map(|(id, cid)| Due::Blob(*id, *cid)));
                }
                Sweep::Purge(id, pos) => {
                    let unheld = |(key, block): &(&(RepoId, Cid), &super::state::StoredBlock)| {
                        key.0 == id && block.refs == 0 && block.released <= pos
                    };
                    due.extend(self.blocks.iter().filter(unheld).map(|((id, cid), _)| Due::Block(*id, *cid)));
                    // A commit is past when the next one was made.
                    for pair in self.commits_of(id).windows(2) {
                        let [(rev, _), (_, next)] = pair else { continue };
                        if next.pos <= pos {
                            due.push(Due::Commit(id, *rev));
                        }
                    }
                }
                Sweep::Repo(_) | Sweep::Blobs(_) => continue,
            }
            due.push(Due::Sweep(*sweep));
        }
    }

    fn due_generation(&self, id: RepoId, due: &mut Vec<Due>) {
        due.extend(self.blocks.keys().filter(|key| key.0 == id).map(|(id, cid)| Due::Block(*id, *cid)));
        due.extend(self.records.keys().filter(|key| key.0 == id).map(|(id, path)| Due::Record(*id, path.clone())));
        due.extend(self.commits.keys().filter(|key| key.0 == id).map(|(id, rev)| Due::Commit(*id, *rev)));
        let uses = self.blob_uses.iter().filter(|key| key.0 == id);
        due.extend(uses.map(|(id, cid, path)| Due::BlobUse(*id, *cid, path.clone())));
        let links = self.links.iter().filter(|key| key.0 == id);
        due.extend(links.map(|(id, link, path)| Due::Link(*id, link.clone(), path.clone())));
        due.extend(self.repos.contains_key(&id).then_some(Due::Repo(id)));
    }

    fn forget(&mut self, entry: Due) {
        match entry {
            Due::Block(repo, cid) => drop(self.blocks.remove(&(repo, cid))),
            Due::Commit(repo, rev) => drop(self.commits.remove(&(repo, rev))),
            Due::Receipt(did, key) => drop(self.receipts.remove(&(did, key))),
            Due::Record(repo, path) => drop(self.records.remove(&(repo, path))),
            Due::BlobUse(repo, cid, path) => drop(self.blob_uses.remove(&(repo, cid, path))),
            Due::Link(repo, link, path) => drop(self.links.remove(&(repo, link, path))),
            Due::Repo(id) => drop(self.repos.remove(&id)),
            Due::Blob(account, cid) => drop(self.blobs.remove(&(account, cid))),
            Due::Sweep(sweep) => drop(self.sweeps.remove(&sweep)),
            Due::Row(key) => self.forget_row(&key),
            Due::Event(seq) => drop(self.events.remove(&seq)),
        }
    }
}
