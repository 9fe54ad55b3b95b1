//! Checking a store against itself.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use backend_api::tree::{BlockSource, CommitBlock};
use backend_api::{
    Account, Cid, Counters, Error, RecordPath, RecordRow, Repo, RepoId, Result, VerifyLevel, VerifyReport, tree,
};
use bytes::Bytes;
use futures::executor::block_on;

use crate::core::{Shared, Wanted, mark_of};
use crate::format::key::{self, Space};
use crate::format::value::{self, BlockValue};
use crate::meta::MetaSnapshot;

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 1_000;
/// Events read at a time.
const EVENTS_STEP: usize = 1_024;
const EVENTS_STEP_BYTES: usize = 4 << 20;

struct Verifier<'a> {
    shared: &'a Shared,
    wanted: Wanted<'a>,
    state: Arc<dyn MetaSnapshot>,
    level: VerifyLevel,
    report: VerifyReport,
}

/// Checks what is drained: every account's repo, and with [`VerifyLevel::Deep`] every block, count and event. Ends early if
/// nobody waits for it any more.
pub fn verify(shared: &Shared, level: VerifyLevel, wanted: Wanted<'_>) -> Result<VerifyReport> {
    let state = Arc::clone(&shared.tables().store);
    let mut verifier = Verifier { shared, wanted, state, level, report: VerifyReport::default() };
    let prefix = key::space(Space::Account);
    let end = key::after_prefix(&prefix).unwrap_or_default();
    let state = Arc::clone(&verifier.state);
    for pair in state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
        wanted()?;
        let account: Account = value::decode(&pair?.1, "account")?;
        verifier.account(&account);
    }
    if level != VerifyLevel::Quick {
        verifier.log()?;
        verifier.blocks()?;
        verifier.events()?;
    }
    // What was cut short is no problem of the store's.
    wanted()?;
    Ok(verifier.report)
}

impl<'a> Verifier<'a> {
    fn source(&self, repo: RepoId) -> Source<'a> {
        Source { shared: self.shared, wanted: self.wanted, state: Arc::clone(&self.state), repo }
    }

    fn problem(&mut self, problem: impl Into<String>) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(problem.into());
        }
    }

    fn noted<T>(&mut self, subject: &str, result: Result<T>) -> Option<T> {
        result.map_err(|e: Error| self.problem(format!("{subject}: {e}"))).ok()
    }

    fn value<T: serde::de::DeserializeOwned>(&self, key: &[u8], what: &str) -> Result<Option<T>> {
        self.state.get(key)?.map(|bytes| value::decode(&bytes, what)).transpose()
    }

    fn account(&mut self, account: &Account) {
        let subject = account.did.to_string();
        let indexes = [
            account.handle.as_ref().map(|h| (key::handle(h), "handle")),
            account.email.as_ref().map(|e| (key::email(e), "address")),
        ];
        for (key, what) in indexes.into_iter().flatten() {
            let holder = self.state.get(&key);
            match self.noted(&subject, holder) {
                Some(Some(did)) if did == account.did.as_str().as_bytes() => {}
                Some(_) => self.problem(format!("{subject}: its {what} is not found under its name")),
                None => {}
            }
        }
        let Some(id) = account.repo else { return };
        let repo = self.value::<Repo>(&key::repo(id), "repo");
        match self.noted(&subject, repo) {
            Some(Some(repo)) => self.repo(&subject, &repo),
            Some(None) => self.problem(format!("{subject}: repo generation {id} is not there")),
            None => {}
        }
    }

    fn repo(&mut self, subject: &str, repo: &Repo) {
        self.report.repos += 1;
        let (Some(head), Some(data)) = (repo.head, repo.data) else {
            self.problem(format!("{subject}: the repo has no head"));
            return;
        };
        let source = self.source(repo.id);
        let block = source.block(&head.cid);
        let commit = block.and_then(|block| match block {
            Some(block) => CommitBlock::decode(&block),
            None => Err(Error::new(backend_api::Reason::BlockMissing, format!("commit {} is not there", head.cid))),
        });
        if let Some(commit) = self.noted(subject, commit)
            && (commit.did != repo.did || commit.rev != head.rev || commit.data != data)
        {
            self.problem(format!("{subject}: commit {} says something else than the head", head.cid));
        }
        let records = self.records(repo.id);
        let Some(records) = self.noted(subject, records) else { return };
        self.report.records += records.len() as u64;
        if records.len() as u64 != repo.counters.records {
            self.problem(format!("{subject}: {} records, its counter says {}", records.len(), repo.counters.records));
        }
        match self.level {
            VerifyLevel::Quick => {
                let root = block_on(source.blocks(&[data]));
                if let Some(root) = self.noted(subject, root)
                    && root.first().is_none_or(Option::is_none)
                {
                    self.problem(format!("{subject}: root {data} is not there"));
                }
            }
            VerifyLevel::Deep | VerifyLevel::Repair => self.tree(subject, repo, head.cid, data, records),
        }
    }

    fn records(&self, repo: RepoId) -> Result<HashMap<RecordPath, Cid>> {
        let prefix = key::numbered(Space::Record, repo.0);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let mut records = HashMap::new();
        for pair in self.state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
            let (k, v) = pair?;
            let row: RecordRow = value::decode(&v, "record")?;
            records.insert(key::read_record(&k)?.1, row.cid);
        }
        Ok(records)
    }

    /// Walks the whole tree: structure, records against their rows, references against their counts.
    fn tree(&mut self, subject: &str, repo: &Repo, head: Cid, data: Cid, mut records: HashMap<RecordPath, Cid>) {
        let source = self.source(repo.id);
        let checked = block_on(tree::check(&source, data));
        let Some(checked) = self.noted(subject, checked) else { return };
        for cid in &checked.missing {
            self.problem(format!("{subject}: block {cid} of the tree is missing or damaged"));
        }
        let mut refs: HashMap<Cid, u64> = HashMap::from([(head, 1)]);
        let walked = self.count(&source, data, &mut refs, &mut records, subject);
        if self.noted(subject, walked).is_none() {
            return;
        }
        for path in records.keys() {
            self.problem(format!("{subject}: {path} has a row and is not in the tree"));
        }
        let counted = self.counts(repo.id, refs, subject);
        if let Some(counters) = self.noted(subject, counted)
            && (counters.refs, counters.bytes) != (repo.counters.refs, repo.counters.bytes)
        {
            let (found, said) = (counters, repo.counters);
            self.problem(format!(
                "{subject}: {} references of {} bytes, its counters say {} of {}",
                found.refs, found.bytes, said.refs, said.bytes
            ));
        }
    }

    fn count(
        &mut self,
        source: &Source<'_>,
        data: Cid,
        refs: &mut HashMap<Cid, u64>,
        records: &mut HashMap<RecordPath, Cid>,
        subject: &str,
    ) -> Result<()> {
        let mut nodes = tree::nodes(source, data);
        while let Some((cid, _)) = block_on(nodes.next())? {
            refs.entry(cid).or_insert(0);
        }
        let mut walk = tree::walk(source, data, None);
        let mut record_refs: HashMap<Cid, u64> = HashMap::new();
        while let Some((key, cid)) = block_on(walk.next())? {
            let path = RecordPath::try_from(&key)?;
            *record_refs.entry(cid).or_insert(0) += 1;
            match records.remove(&path) {
                Some(row) if row == cid => {}
                Some(_) => self.problem(format!("{subject}: {path} has another CID in its row than in the tree")),
                None => self.problem(format!("{subject}: {path} is in the tree and has no row")),
            }
        }
        // A node is referred to once: no two places of a tree hold the same keys.
        for (cid, count) in refs.iter_mut() {
            *count = record_refs.get(cid).copied().unwrap_or(1);
        }
        Ok(())
    }

    /// Compares stored counts with a recount; gives the recount's sums.
    fn counts(&mut self, repo: RepoId, mut refs: HashMap<Cid, u64>, subject: &str) -> Result<Counters> {
        let mut sums = Counters::default();
        let prefix = key::numbered(Space::Block, repo.0);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let state = Arc::clone(&self.state);
        for pair in state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
            let (k, v) = pair?;
            let (_, cid) = key::read_block(&k)?;
            let block: BlockValue = value::decode(&v, "block")?;
            let counted = refs.remove(&cid).unwrap_or(0);
            sums.refs += counted;
            sums.bytes += counted * u64::from(block.place.len);
            if counted != block.refs {
                self.problem(format!("{subject}: block {cid} has {counted} references, its count says {}", block.refs));
            }
        }
        for cid in refs.keys() {
            self.problem(format!("{subject}: block {cid} is referred to and has no entry"));
        }
        Ok(sums)
    }

    /// Of a lost file no block need tell: it may have changes alone.
    fn log(&mut self) -> Result<()> {
        if let Some(path) = self.shared.log.missing()? {
            self.problem(format!("{}: is missing: restore it", path.display()));
        }
        Ok(())
    }

    /// Every block's bytes against its CID, history and unfinished imports included.
    fn blocks(&mut self) -> Result<()> {
        let prefix = key::space(Space::Block);
        let end = key::after_prefix(&prefix).unwrap_or_default();
        let state = Arc::clone(&self.state);
        for pair in state.range(Bound::Included(&prefix), Bound::Excluded(&end), false) {
            (self.wanted)()?;
            let (k, v) = pair?;
            let (repo, cid) = key::read_block(&k)?;
            let block: BlockValue = value::decode(&v, "block")?;
            let subject = format!("repo generation {repo}");
            let read = self.shared.log.block(block.place, &cid);
            if let Some(bytes) = self.noted(&subject, read) {
                self.report.blocks += 1;
                self.report.bytes += bytes.len() as u64;
                if !cid.matches(&bytes) {
                    self.problem(format!("{subject}: block {cid}: its bytes hash to another CID"));
                }
            }
        }
        Ok(())
    }

    /// The events of the state that is checked, which segments hold: retention may go on meanwhile.
    fn events(&mut self) -> Result<()> {
        let Some(mark) = self.noted("firehose", mark_of(&*self.state)) else { return Ok(()) };
        let pinned = self.shared.events.pin();
        let mut after = pinned.oldest.saturating_sub(1);
        while after < mark.seq {
            (self.wanted)()?;
            let events = pinned.events(after, EVENTS_STEP, EVENTS_STEP_BYTES);
            let Some(events) = self.noted("firehose", events) else { return Ok(()) };
            if events.is_empty() {
                self.problem(format!("firehose: event {} is missing", after + 1));
                return Ok(());
            }
            for event in events.iter().take_while(|event| event.seq.get() <= mark.seq) {
                after += 1;
                if event.seq.get() != after {
                    self.problem(format!("firehose: event {after} is missing"));
                    return Ok(());
                }
                self.report.events += 1;
            }
        }
        Ok(())
    }
}

/// Blocks of one generation that something refers to, in the state that is checked: what was committed or forgotten since
/// does not show. Their bytes stay where that state says.
struct Source<'a> {
    shared: &'a Shared,
    wanted: Wanted<'a>,
    state: Arc<dyn MetaSnapshot>,
    repo: RepoId,
}

impl Source<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>> {
        (self.wanted)()?;
        let Some(bytes) = self.state.get(&key::block(self.repo, cid))? else { return Ok(None) };
        let block: BlockValue = value::decode(&bytes, "block")?;
        if block.refs == 0 { Ok(None) } else { self.shared.log.block(block.place, cid).map(Some) }
    }
}

#[async_trait]
impl BlockSource for Source<'_> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        cids.iter().map(|cid| self.block(cid)).collect()
    }
}
