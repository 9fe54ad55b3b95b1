//! A commit: head, references, records, event.

use crate::account::AccountStatus;
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
use crate::mutation::{CommitEvent, Event, RecordOp, RepoCommit};
use crate::number::RepoId;
use crate::repo::{CommitRow, Counters, Head, RecordRow, Repo};
use crate::view::View;

use super::draft::{Draft, RefChange};

pub(super) fn commit<V: View + ?Sized>(draft: &mut Draft<'_, V>, index: usize, commit: &RepoCommit) -> Result<()> {
    may_commit(draft, commit.announce.is_some())?;
    let mut repo = open(draft, commit.expected)?;
    let before = repo.data;
    root_is_held(draft, repo.id, before, commit)?;
    let mut refs = Refs::default();
    for cid in &commit.added {
        refs.plus(*cid);
    }
    for cid in &commit.removed {
        refs.minus(*cid);
    }
    for op in &commit.records {
        record(draft, repo.id, op, &mut refs, &mut repo.counters)?;
    }
    refs.settle(draft, repo.id, &mut repo.counters)?;
    repo.head = Some(commit.head);
    repo.data = Some(commit.data);
    let row = CommitRow { cid: commit.head.cid, data: commit.data, pos: draft.stamp.pos, at: draft.stamp.at };
    draft.commits.push((repo.id, commit.head.rev, row));
    draft.account()?.repo = Some(repo.id);
    draft.set_repo(repo);
    super::blob::drop_unused(draft)?;
    if commit.announce.is_some() {
        draft.events.push(Event::Commit(CommitEvent {
            head: commit.head,
            since: commit.expected.map(|h| h.rev),
            prev_data: before,
            op: index,
        }));
    }
    Ok(())
}

/// The protocol sends no `#commit` of an inactive account. A deactivated one may be filled by a migration.
pub(super) fn may_commit<V: View + ?Sized>(draft: &mut Draft<'_, V>, announced: bool) -> Result<()> {
    let status = draft.account()?.status;
    let allowed = match status {
        AccountStatus::Active => true,
        AccountStatus::Deactivated => !announced,
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Error::new(Reason::AccountInactive, format!("the account of {} is {status:?}", draft.did())))
}

fn open<V: View + ?Sized>(draft: &mut Draft<'_, V>, expected: Option<Head>) -> Result<Repo> {
    let current = match draft.account()?.repo {
        Some(id) => Some(draft.repo(id)?),
        None => None,
    };
    let head = current.as_ref().and_then(|repo| repo.head);
    if head != expected {
        return Err(head_mismatch(head, expected));
    }
    Ok(current.unwrap_or_else(|| begin(draft)))
}

pub(super) fn begin<V: View + ?Sized>(draft: &Draft<'_, V>) -> Repo {
    Repo {
        id: RepoId(draft.stamp.pos.0),
        did: draft.did().clone(),
        head: None,
        data: None,
        counters: Counters::default(),
    }
}

pub(super) fn head_mismatch(head: Option<Head>, expected: Option<Head>) -> Error {
    let name = |head: Option<Head>| head.map_or("no commit".to_owned(), |h| format!("{} ({})", h.rev, h.cid));
    Error::new(Reason::HeadMismatch, format!("expected: {}, but the head is {}", name(expected), name(head)))
}

/// No dangling root: the new root is added, or the old one, or a node of the old tree that is kept (the last record above
/// it went).
fn root_is_held<V: View + ?Sized>(
    draft: &Draft<'_, V>,
    repo: RepoId,
    before: Option<Cid>,
    commit: &RepoCommit,
) -> Result<()> {
    let root = commit.data;
    if commit.removed.contains(&root) {
        return Err(Error::new(Reason::BadRequest, format!("removed: holds the root {root}")));
    }
    match (commit.added.contains(&root), before == Some(root)) {
        (true, true) => Err(Error::new(Reason::BadRequest, format!("added: {root} is the root already"))),
        (true, false) | (false, true) => Ok(()),
        (false, false) if !draft.is_new(repo) && draft.view.holds(repo, &root, 1)?.is_some() => Ok(()),
        (false, false) => Err(Error::new(
            Reason::BlockMissing,
            format!("data: {root} is neither added nor a node that the repo holds"),
        )),
    }
}

/// One record operation on one generation: the row, its indexes, its references.
pub(super) fn record<V: View + ?Sized>(
    draft: &mut Draft<'_, V>,
    repo: RepoId,
    op: &RecordOp,
    refs: &mut Refs,
    counters: &mut Counters,
) -> Result<()> {
    let before = if draft.is_new(repo) { None } else { draft.view.record(repo, &op.path)? };
    let found = before.as_ref().map(|row| row.cid);
    if found != op.old {
        let name = |cid: Option<Cid>| cid.map_or("nothing".to_owned(), |c| c.to_string());
        let detail = format!("records: {} expected {}, found {}", op.path, name(op.old), name(found));
        return Err(Error::new(Reason::RecordMismatch, detail));
    }
    if let Some(old) = before {
        refs.minus(old.cid);
        counters.records = counters.records.saturating_sub(1);
        for blob in old.blobs {
            draft.blob_uses.entry((repo, blob)).or_default().insert(op.path.clone(), false);
        }
        for link in old.links {
            draft.links.insert((repo, link, op.path.clone()), false);
        }
    }
    let row = op.new.map(|cid| {
        refs.plus(cid);
        counters.records += 1;
        for blob in &op.blobs {
            draft.blob_uses.entry((repo, *blob)).or_default().insert(op.path.clone(), true);
        }
        for link in &op.links {
            draft.links.insert((repo, link.clone(), op.path.clone()), true);
        }
        RecordRow { cid, pos: draft.stamp.pos, blobs: op.blobs.clone(), links: op.links.clone() }
    });
    draft.records.insert((repo, op.path.clone()), row);
    Ok(())
}

/// The references that one operation adds to and takes from blocks of one generation.
#[derive(Default)]
pub(super) struct Refs(Vec<(Cid, RefChange)>);

impl Refs {
    pub fn plus(&mut self, cid: Cid) {
        self.0.push((cid, RefChange { plus: 1, ..RefChange::default() }));
    }

    pub fn minus(&mut self, cid: Cid) {
        self.0.push((cid, RefChange { minus: 1, ..RefChange::default() }));
    }

    /// One change for each block, in order.
    fn summed(mut self) -> Vec<(Cid, RefChange)> {
        self.0.sort_unstable_by_key(|(cid, _)| *cid);
        self.0.dedup_by(|(cid, change), (kept, sum)| {
            let same = cid == kept;
            if same {
                sum.plus += change.plus;
                sum.minus += change.minus;
            }
            same
        });
        self.0
    }

    /// Checks that what is referred to is supplied or live, and that what is taken away is held; adds up the counters.
    pub fn settle<V: View + ?Sized>(
        self,
        draft: &mut Draft<'_, V>,
        repo: RepoId,
        counters: &mut Counters,
    ) -> Result<()> {
        for (cid, mut change) in self.summed() {
            change.supplied = draft.checked.supplied(&cid);
            let len = self::len(draft, repo, &cid, &change)?;
            let add = |value: u64, plus: u64, minus: u64| value.checked_add(plus).and_then(|v| v.checked_sub(minus));
            let total = add(counters.refs, change.plus, change.minus).zip(add(
                counters.bytes,
                change.plus * u64::from(len),
                change.minus * u64::from(len),
            ));
            let Some((refs, bytes)) = total else {
                let detail = format!("the counters of repo generation {repo} are below what it holds of {cid}");
                return Err(Error::new(Reason::DataCorrupt, detail));
            };
            (counters.refs, counters.bytes) = (refs, bytes);
            let sum = draft.blocks.entry((repo, cid)).or_default();
            sum.plus += change.plus;
            sum.minus += change.minus;
            sum.supplied = change.supplied;
        }
        Ok(())
    }
}

/// The length of a block that is held well enough for the change. What is taken away must have been held before, also if
/// as much is added: a request may not pay for what it takes with what it brings.
fn len<V: View + ?Sized>(draft: &Draft<'_, V>, repo: RepoId, cid: &Cid, change: &RefChange) -> Result<u32> {
    if change.minus == 0
        && let Some(i) = change.supplied
    {
        return Ok(draft.checked.supplied_len(i));
    }
    let held = if draft.is_new(repo) { None } else { draft.view.holds(repo, cid, change.minus.max(1))? };
    held.ok_or_else(|| {
        if change.minus > 0 {
            Error::new(Reason::NotHeld, format!("removed: the repo does not hold {cid} as often as it is removed"))
        } else {
            Error::new(Reason::BlockMissing, format!("added: {cid} is neither supplied nor live"))
        }
    })
}
