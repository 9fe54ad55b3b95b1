//! Sweep, verify, figures, the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use backend_api::tree::{self, BlockMap};
use backend_api::{
    Cid, Counters, Maintenance, Pos, Repo, RepoId, Result, SpaceUse, Stats, Sweep, SweepReport, VerifyLevel,
    VerifyReport,
};

use super::Model;
use super::state::State;

#[async_trait]
impl Maintenance for Model {
    async fn sweep(&self, budget: usize) -> Result<SweepReport> {
        let mut state = self.state()?;
        let now = self.now(&state);
        Ok(Arc::make_mut(&mut state).sweep(now, self.store.options, budget))
    }

    async fn verify(&self, level: VerifyLevel) -> Result<VerifyReport> {
        let state = Arc::clone(&*self.state()?);
        let mut report = VerifyReport::default();
        state.verify_blocks(level, &mut report);
        for repo in state.accounts.keys().filter_map(|did| state.served(did)) {
            state.verify_repo(repo, &mut report).await?;
        }
        state.verify_indexes(&mut report);
        state.verify_events(&mut report);
        Ok(report)
    }

    async fn stats(&self) -> Result<Stats> {
        let state = self.state()?;
        let served: Vec<&Repo> = state.accounts.keys().filter_map(|did| state.served(did)).collect();
        let sum = |of: fn(&Counters) -> u64| served.iter().map(|repo| of(&repo.counters)).sum();
        Ok(Stats {
            backend: "model".into(),
            pos: state.pos(),
            head: state.head,
            accounts: state.accounts.len() as u64,
            repos: served.len() as u64,
            records: sum(|counters| counters.records),
            refs: sum(|counters| counters.refs),
            bytes: sum(|counters| counters.bytes),
            space: SpaceUse::default(),
            counters: Vec::new(),
            stopped: None,
        })
    }

    async fn checkpoint(&self) -> Result<()> {
        self.state().map(drop)
    }

    async fn close(&self) -> Result<()> {
        self.shut();
        Ok(())
    }
}

impl State {
    fn verify_blocks(&self, level: VerifyLevel, report: &mut VerifyReport) {
        for ((repo, cid), block) in &self.blocks {
            report.blocks += 1;
            if level != VerifyLevel::Quick {
                report.bytes += block.bytes.len() as u64;
                check(report, cid.matches(&block.bytes), || format!("block {cid} of repo {repo} has other bytes"));
            }
        }
    }

    /// Recounts a generation from its root, and compares.
    async fn verify_repo(&self, repo: &Repo, report: &mut VerifyReport) -> Result<()> {
        report.repos += 1;
        let id = repo.id;
        let (Some(head), Some(data)) = (repo.head, repo.data) else {
            report.problems.push(format!("repo {id} has a head or a root, not both"));
            return Ok(());
        };
        let row = self.commits.get(&(id, head.rev));
        check(report, row.is_some_and(|row| row.cid == head.cid), || format!("repo {id}: no commit row of its head"));
        let found = match self.recount(id, head.cid, data).await {
            Ok(found) => found,
            Err(e) => {
                report.problems.push(format!("repo {id}: {e}"));
                return Ok(());
            }
        };
        let held: BTreeMap<Cid, u64> =
            self.blocks_of(id).filter(|(_, refs)| *refs > 0).map(|(cid, refs)| (*cid, refs)).collect();
        check(report, held == found.refs, || format!("repo {id}: reference counts are not those of a recount"));
        let rows: BTreeMap<&str, Cid> = self.rows_of(id);
        let same = rows.len() == found.records.len()
            && rows.iter().zip(&found.records).all(|((path, cid), (key, value))| *path == key && cid == value);
        check(report, same, || format!("repo {id}: record rows are not those of its tree"));
        report.records += rows.len() as u64;
        let bytes = |(cid, refs): (&Cid, &u64)| self.blocks.get(&(id, *cid)).map_or(0, |b| b.bytes.len() as u64) * refs;
        let counted = Counters {
            records: rows.len() as u64,
            refs: found.refs.values().sum(),
            bytes: found.refs.iter().map(bytes).sum(),
        };
        check(report, counted == repo.counters, || format!("repo {id}: {:?}, counted {counted:?}", repo.counters));
        Ok(())
    }

    async fn recount(&self, id: RepoId, commit: Cid, data: Cid) -> Result<Recount> {
        let in_repo = self.blocks.iter().filter(|((repo, _), block)| *repo == id && block.refs > 0);
        let source: BlockMap = in_repo.map(|((_, cid), block)| (*cid, block.bytes.clone())).collect();
        let mut found = Recount { refs: BTreeMap::from([(commit, 1)]), records: Vec::new() };
        // Nodes and records, each as often as it is referred to.
        let mut blocks = tree::nodes(&source, data);
        while let Some((cid, _)) = blocks.next().await? {
            *found.refs.entry(cid).or_default() += 1;
        }
        let mut walk = tree::walk(&source, data, None);
        while let Some((key, cid)) = walk.next().await? {
            found.records.push((key.as_str().to_owned(), cid));
        }
        Ok(found)
    }

    fn blocks_of(&self, id: RepoId) -> impl Iterator<Item = (&Cid, u64)> {
        self.blocks.iter().filter(move |((repo, _), _)| *repo == id).map(|((_, cid), block)| (cid, block.refs))
    }

    fn rows_of(&self, id: RepoId) -> BTreeMap<&str, Cid> {
        self.records
            .iter()
            .filter(|((repo, _), _)| *repo == id)
            .map(|((_, path), row)| (path.as_str(), row.cid))
            .collect()
    }

    /// Every index is worked out again from what it indexes.
    fn verify_indexes(&self, report: &mut VerifyReport) {
        let accounts = || self.accounts.iter();
        let handles = accounts().filter_map(|(did, a)| Some((a.handle.clone()?, did.clone()))).collect();
        check(report, self.handles == handles, || "handles are not those of the accounts".into());
        let emails = accounts().filter_map(|(did, a)| Some((a.email.clone()?, did.clone()))).collect();
        check(report, self.emails == emails, || "addresses are not those of the accounts".into());
        // A generation that is being swept has lost some of its entries.
        let is_kept = |repo: RepoId| !self.sweeps.contains_key(&Sweep::Repo(repo));
        let mut uses = BTreeSet::new();
        let mut links = BTreeSet::new();
        for ((repo, path), row) in self.records.iter().filter(|((repo, _), _)| is_kept(*repo)) {
            uses.extend(row.blobs.iter().map(|cid| (*repo, *cid, path.clone())));
            links.extend(row.links.iter().map(|link| (*repo, link.clone(), path.clone())));
        }
        let found: BTreeSet<_> = self.blob_uses.iter().filter(|(repo, ..)| is_kept(*repo)).cloned().collect();
        check(report, found == uses, || "blob references are not those of the records".into());
        let found: BTreeSet<_> = self.links.iter().filter(|(repo, ..)| is_kept(*repo)).cloned().collect();
        check(report, found == links, || "links are not those of the records".into());
        let mut rest = Self {
            rows: self.rows.clone(),
            row_uniques: self.row_uniques.clone(),
            row_lookups: self.row_lookups.clone(),
            row_owners: self.row_owners.clone(),
            row_expiries: self.row_expiries.clone(),
            ..Self::default()
        };
        for key in self.rows.keys() {
            rest.forget_row(key);
        }
        let left = rest.row_uniques.len() + rest.row_lookups.len() + rest.row_owners.len() + rest.row_expiries.len();
        check(report, left == 0, || format!("{left} index entries of rows that are not there"));
        let uniques: usize = self.rows.values().map(|row| row.unique.len()).sum();
        check(report, self.row_uniques.len() == uniques, || "unique values are not those of the rows".into());
        let owners = self.rows.values().filter(|row| row.owner.is_some()).count();
        check(report, self.row_owners.len() == owners, || "owners are not those of the rows".into());
    }

    fn verify_events(&self, report: &mut VerifyReport) {
        report.events = self.events.len() as u64;
        let first = self.events.keys().next().map_or(0, |seq| seq.get());
        let is_row = self.events.keys().zip(first..).all(|(seq, expected)| seq.get() == expected);
        check(report, is_row, || "events are not numbered without gaps".into());
        let newest = self.events.keys().next_back().copied().unwrap_or_default();
        check(report, newest == self.head, || format!("the newest event is {newest}, the head is {}", self.head));
        let last = self.changes.last().map_or(Pos(0), |change| change.stamp.pos);
        check(report, last == self.pos(), || format!("the last change is {last} of {}", self.pos()));
    }
}

struct Recount {
    refs: BTreeMap<Cid, u64>,
    records: Vec<(String, Cid)>,
}

fn check(report: &mut VerifyReport, is_sound: bool, problem: impl FnOnce() -> String) {
    if !is_sound && report.problems.len() < 1000 {
        report.problems.push(problem());
    }
}
