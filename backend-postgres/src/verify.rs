//! Checking a store against itself: one transaction that sees one state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use async_trait::async_trait;
use backend_api::tree::{self, BlockSource, CommitBlock};
use backend_api::{Cid, Counters, Did, Error, Reason, RecordPath, Repo, RepoId, Result, VerifyLevel, VerifyReport};
use bytes::Bytes;
use futures::TryStreamExt as _;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::sync::Mutex;

use crate::attend::Attended;
use crate::decode;
use crate::error::failed;
use crate::shared::{Shared, take_as_long_as_it_takes};
use crate::sql::Query;
use crate::types::{Columns as _, cid_bytes, corrupt, signed};

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 1_000;
/// Accounts read at a time.
const ACCOUNTS: i64 = 256;

fn fail(e: sqlx::Error) -> Error {
    failed("verify", &e)
}

/// Checks every account's repo, and with [`VerifyLevel::Deep`] every block, count, index and event.
pub(crate) async fn verify(shared: &Shared, level: VerifyLevel) -> Result<VerifyReport> {
    shared.is_open()?;
    let (attended, mut connection) = shared.connect_to_read().await.map_err(fail)?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    let mut transaction = attended.during(connection.begin_with(begin)).await.map_err(fail)?;
    attended.during(take_as_long_as_it_takes(&mut transaction)).await.map_err(fail)?;
    let state = State { attended, connection: Mutex::new(&mut transaction) };
    let mut verifier = Verifier { state: &state, level, report: VerifyReport::default() };
    let mut after = String::new();
    loop {
        let accounts = state.accounts(&after).await?;
        let Some(last) = accounts.last() else { break };
        after = last.text(0)?.to_owned();
        for row in &accounts {
            let checked = verifier.account(row).await;
            verifier.noted(row.text(0)?, checked)?;
        }
    }
    verifier.events().await?;
    if level != VerifyLevel::Quick {
        verifier.blocks().await?;
    }
    let report = verifier.report;
    // It only read: nothing hangs on how it ends.
    drop(transaction);
    Ok(report)
}

/// The transaction, one statement at a time.
struct State<'a> {
    attended: Attended,
    connection: Mutex<&'a mut PgConnection>,
}

impl State<'_> {
    async fn all(&self, query: Query<'_>) -> Result<Vec<PgRow>> {
        let mut connection = self.connection.lock().await;
        self.attended.during(query.fetch_all(&mut **connection)).await.map_err(fail)
    }

    async fn accounts(&self, after: &str) -> Result<Vec<PgRow>> {
        self.all(sqlx::query(include_str!("../sql/accounts.sql")).bind(after).bind(ACCOUNTS)).await
    }

    async fn repo(&self, id: RepoId) -> Result<Option<Repo>> {
        let query = sqlx::query(include_str!("../sql/load_repos.sql")).bind(vec![signed(id.0)]);
        let rows = self.all(query).await?;
        rows.first().map(|row| decode::repo(row, id, row.name(1)?, 2)).transpose()
    }

    async fn rows(&self, sql: &'static str, id: RepoId) -> Result<Vec<PgRow>> {
        self.all(sqlx::query(sql).bind(signed(id.0))).await
    }
}

/// The blocks that a generation refers to, checked.
struct Source<'a> {
    state: &'a State<'a>,
    repo: RepoId,
}

#[async_trait]
impl BlockSource for Source<'_> {
    async fn blocks(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>> {
        let query =
            sqlx::query(include_str!("../sql/verify_blocks.sql")).bind(signed(self.repo.0)).bind(cid_bytes(cids));
        let rows = self.state.all(query).await?;
        let mut found = BTreeMap::new();
        for row in &rows {
            let (cid, bytes) = (row.cid(0)?, row.bytes(1)?);
            if !cid.matches(bytes) {
                return Err(corrupt(format!("the bytes of block {cid} hash to another CID")));
            }
            found.insert(cid, Bytes::copy_from_slice(bytes));
        }
        Ok(cids.iter().map(|cid| found.get(cid).cloned()).collect())
    }
}

struct Verifier<'a> {
    state: &'a State<'a>,
    level: VerifyLevel,
    report: VerifyReport,
}

/// A record's row: its CID, and the blobs and links that it has.
struct Recorded {
    cid: Cid,
    uses: BTreeSet<Cid>,
    links: BTreeSet<[u8; 32]>,
}

impl Verifier<'_> {
    fn problem(&mut self, problem: impl Into<String>) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(problem.into());
        }
    }

    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.problem(problem());
        }
    }

    /// What is wrong with the data is noted; what keeps it from being read ends the check.
    fn noted<T>(&mut self, subject: impl Display, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(e) if matches!(e.reason(), Reason::ReadFailed | Reason::Overloaded | Reason::Closed) => Err(e),
            Err(e) => {
                self.problem(format!("{subject}: {e}"));
                Ok(None)
            }
        }
    }

    async fn account(&mut self, row: &PgRow) -> Result<()> {
        let account = decode::account(row)?;
        match account.repo {
            Some(id) => self.repo(&account.did, id).await,
            None => Ok(()),
        }
    }

    async fn repo(&mut self, did: &Did, id: RepoId) -> Result<()> {
        self.report.repos += 1;
        let Some(repo) = self.state.repo(id).await? else {
            self.problem(format!("{did}: repo generation {id} is not there"));
            return Ok(());
        };
        let (Some(head), Some(data)) = (repo.head, repo.data) else {
            self.problem(format!("{did}: the repo has no head"));
            return Ok(());
        };
        let commits = self.state.rows(include_str!("../sql/verify_commits.sql"), id).await?;
        let mut newest = None;
        for row in &commits {
            newest = Some(decode::commit(row, 0)?);
        }
        let is_head = newest.is_some_and(|(rev, row)| (rev, row.cid, row.data) == (head.rev, head.cid, data));
        self.expect(is_head, || format!("{did}: its newest commit is not the head"));
        let source = Source { state: self.state, repo: id };
        let found = self.noted(did, source.blocks(&[head.cid, data]).await)?.unwrap_or_default();
        self.expect(found.iter().all(Option::is_some), || format!("{did}: the head's blocks are not there"));
        if let Some(block) = found.into_iter().next().flatten()
            && let Some(commit) = self.noted(did, CommitBlock::decode(&block))?
        {
            let same = commit.did == *did && commit.rev == head.rev && commit.data == data;
            self.expect(same, || format!("{did}: commit {} says something else than the head", head.cid));
        }
        let records = self.records(id).await?;
        self.report.records += records.len() as u64;
        let counted = records.len() as u64;
        self.expect(counted == repo.counters.records, || {
            format!("{did}: {counted} records, its counter says {}", repo.counters.records)
        });
        self.indexes(did, id, &records).await?;
        if self.level != VerifyLevel::Quick {
            self.tree(did, &repo, head.cid, data, records, &source).await?;
        }
        Ok(())
    }

    async fn records(&self, id: RepoId) -> Result<BTreeMap<RecordPath, Recorded>> {
        let rows = self.state.rows(include_str!("../sql/verify_records.sql"), id).await?;
        let mut records = BTreeMap::new();
        for row in &rows {
            let (blobs, links) = decode::mentions(row.optional_text(2)?)?;
            let uses = blobs.into_iter().collect();
            let links = links.iter().map(crate::link::digest).collect();
            records.insert(row.name(0)?, Recorded { cid: row.cid(1)?, uses, links });
        }
        Ok(records)
    }

    /// Uses of blobs, and links, are those of the records.
    async fn indexes(&mut self, did: &Did, id: RepoId, records: &BTreeMap<RecordPath, Recorded>) -> Result<()> {
        let mut uses: BTreeSet<(Cid, RecordPath)> = BTreeSet::new();
        for row in &self.state.rows(include_str!("../sql/verify_uses.sql"), id).await? {
            uses.insert((row.cid(0)?, row.name(1)?));
        }
        let mut links: BTreeSet<([u8; 32], RecordPath)> = BTreeSet::new();
        for row in &self.state.rows(include_str!("../sql/verify_links.sql"), id).await? {
            let link = row.bytes(0)?.try_into().map_err(|_| corrupt("links.link has not 32 bytes"))?;
            links.insert((link, row.name(1)?));
        }
        let of = |path: &RecordPath, record: &Recorded| {
            record.uses.iter().map(|cid| (*cid, path.clone())).collect::<Vec<_>>()
        };
        let expected: BTreeSet<_> = records.iter().flat_map(|(path, record)| of(path, record)).collect();
        self.expect(uses == expected, || format!("{did}: blob references are not those of the records"));
        let of = |path: &RecordPath, record: &Recorded| {
            record.links.iter().map(|link| (*link, path.clone())).collect::<Vec<_>>()
        };
        let expected: BTreeSet<_> = records.iter().flat_map(|(path, record)| of(path, record)).collect();
        self.expect(links == expected, || format!("{did}: links are not those of the records"));
        Ok(())
    }

    /// Walks the whole tree: structure, records against their rows, references against their counts.
    async fn tree(
        &mut self,
        did: &Did,
        repo: &Repo,
        head: Cid,
        data: Cid,
        mut records: BTreeMap<RecordPath, Recorded>,
        source: &Source<'_>,
    ) -> Result<()> {
        let checked = tree::check(source, data).await;
        let Some(checked) = self.noted(did, checked)? else { return Ok(()) };
        for cid in &checked.missing {
            self.problem(format!("{did}: block {cid} of the tree is missing"));
        }
        let mut refs: BTreeMap<Cid, u64> = BTreeMap::from([(head, 1)]);
        let mut nodes = tree::nodes(source, data);
        loop {
            let next = nodes.next().await;
            let Some(next) = self.noted(did, next)? else { return Ok(()) };
            let Some((cid, _)) = next else { break };
            *refs.entry(cid).or_default() += 1;
        }
        let mut values = tree::walk(source, data, None);
        let mut record_refs: BTreeMap<Cid, u64> = BTreeMap::new();
        loop {
            let next = values.next().await;
            let Some(next) = self.noted(did, next)? else { return Ok(()) };
            let Some((key, cid)) = next else { break };
            *record_refs.entry(cid).or_default() += 1;
            let path = RecordPath::try_from(&key)?;
            let row = records.remove(&path).map(|record| record.cid);
            self.expect(row == Some(cid), || format!("{did}: {path} has another CID in the tree than in its row"));
        }
        for path in records.keys() {
            self.problem(format!("{did}: {path} has a row and is not in the tree"));
        }
        // What a walk of all nodes gives holds records too: each is counted by its paths.
        for (cid, count) in record_refs {
            refs.insert(cid, count);
        }
        self.counts(did, repo, refs).await
    }

    /// Compares stored counts with a recount.
    async fn counts(&mut self, did: &Did, repo: &Repo, mut refs: BTreeMap<Cid, u64>) -> Result<()> {
        let mut sums = Counters { records: repo.counters.records, ..Counters::default() };
        for row in &self.state.rows(include_str!("../sql/verify_refs.sql"), repo.id).await? {
            let (cid, stored, len) = (row.cid(0)?, row.number(1)?, row.number(2)?);
            let counted = refs.remove(&cid).unwrap_or(0);
            sums.refs += counted;
            sums.bytes += counted * len;
            self.expect(counted == stored, || {
                format!("{did}: block {cid} has {counted} references, its count says {stored}")
            });
        }
        for cid in refs.keys() {
            self.problem(format!("{did}: block {cid} is referred to and is not there"));
        }
        self.expect(sums == repo.counters, || format!("{did}: counted {sums:?}, its counters say {:?}", repo.counters));
        Ok(())
    }

    /// Every block's bytes against its CID, history and unfinished imports included.
    async fn blocks(&mut self) -> Result<()> {
        let mut connection = self.state.connection.lock().await;
        let mut rows = sqlx::query(include_str!("../sql/snapshot_blocks.sql")).fetch(&mut **connection);
        let mut wrong = Vec::new();
        while let Some(row) = self.state.attended.during(rows.try_next()).await.map_err(fail)? {
            let (repo, bytes) = (row.number(0)?, row.bytes(4)?);
            self.report.blocks += 1;
            self.report.bytes += bytes.len() as u64;
            match row.cid(1) {
                Ok(cid) if cid.matches(bytes) => {}
                Ok(cid) => wrong.push(format!("repo generation {repo}: block {cid}: its bytes hash to another CID")),
                Err(e) => wrong.push(format!("repo generation {repo}: a block: {e}")),
            }
        }
        for problem in wrong {
            self.problem(problem);
        }
        Ok(())
    }

    async fn events(&mut self) -> Result<()> {
        let rows = self.state.all(sqlx::query(include_str!("../sql/verify_events.sql"))).await?;
        let row = rows.first().ok_or_else(|| corrupt("the table `store` has no row"))?;
        self.expect(rows.len() == 1, || format!("the table `store` has {} rows", rows.len()));
        let (head, count) = (row.number(0)?, row.number(1)?);
        self.report.events = count;
        let (oldest, newest) = (row.optional_number(2)?, row.optional_number(3)?);
        let kept_from = row.number(4)?;
        self.expect(kept_from == oldest.unwrap_or(head + 1), || {
            format!("firehose: events are kept from {kept_from} on, the oldest is {oldest:?}")
        });
        match (oldest, newest) {
            (Some(oldest), Some(newest)) => {
                self.expect(newest == head, || format!("firehose: the newest event is {newest}, the head is {head}"));
                self.expect(newest - oldest + 1 == count, || {
                    format!("firehose: {count} events from {oldest} to {newest}: some are missing")
                });
            }
            _ => self.expect(head == 0, || format!("firehose: the head is {head}, and there is no event")),
        }
        Ok(())
    }
}
