//! Imports: a new generation of the repo, filled in bounded steps, invisible until its last.

use crate::cid::Cid;
use crate::effect::Sweep;
use crate::error::{Error, Reason, Result};
use crate::limits::RECORD_BYTES_MAX;
use crate::mutation::{FinishImport, ImportTree};
use crate::number::RepoId;
use crate::repo::{BlockRefs, CommitRow};
use crate::view::View;

use super::commit::{Refs, begin as new_generation, head_mismatch, may_commit, record};
use super::draft::Draft;

pub(super) fn begin<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<()> {
    may_commit(draft, false)?;
    let generation = new_generation(draft);
    let account = draft.account()?;
    let abandoned = account.import.replace(generation.id);
    draft.sweeps.extend(abandoned.map(Sweep::Repo));
    draft.set_repo(generation);
    Ok(())
}

pub(super) fn blocks<V: View + ?Sized>(draft: &mut Draft<'_, V>, import: RepoId) -> Result<()> {
    is_current(draft, import)?;
    for (i, block) in draft.checked.mutation().blocks.iter().enumerate() {
        draft.blocks.entry((import, block.cid())).or_default().supplied = Some(i);
    }
    Ok(())
}

pub(super) fn tree<V: View + ?Sized>(draft: &mut Draft<'_, V>, step: &ImportTree) -> Result<()> {
    is_current(draft, step.import)?;
    let mut repo = draft.repo(step.import)?;
    for op in &step.records {
        let len = match op.new {
            Some(cid) => len(draft, step.import, &cid)?,
            None => None,
        };
        match len {
            None => {
                let detail = format!("records: the block of {} was not imported", op.path);
                return Err(Error::new(Reason::BlockMissing, detail));
            }
            Some(len) if len as usize > RECORD_BYTES_MAX => {
                let detail = format!("record: {} has {len} bytes, more than {RECORD_BYTES_MAX}", op.path);
                return Err(Error::new(Reason::TooLarge, detail));
            }
            Some(_) => {}
        }
    }
    let mut refs = Vec::with_capacity(step.nodes.len() + step.records.len());
    refs.extend_from_slice(&step.nodes);
    let mut discard = Refs::default();
    for op in &step.records {
        record(draft, step.import, op, &mut discard, &mut repo.counters)?;
        refs.extend(op.new);
    }
    for cid in refs {
        let Some(len) = len(draft, step.import, &cid)? else {
            return Err(Error::new(Reason::BlockMissing, format!("nodes: {cid} was not imported")));
        };
        repo.counters.refs += 1;
        repo.counters.bytes += u64::from(len);
        let change = draft.blocks.entry((step.import, cid)).or_default();
        change.plus += 1;
        change.supplied = draft.checked.supplied(&cid);
    }
    draft.set_repo(repo);
    Ok(())
}

pub(super) fn finish<V: View + ?Sized>(draft: &mut Draft<'_, V>, finish: &FinishImport) -> Result<()> {
    is_current(draft, finish.import)?;
    may_commit(draft, false)?;
    let old = match draft.account()?.repo {
        Some(id) => Some(draft.repo(id)?),
        None => None,
    };
    let head = old.as_ref().and_then(|repo| repo.head);
    if head != finish.expected {
        return Err(head_mismatch(head, finish.expected));
    }
    let mut repo = draft.repo(finish.import)?;
    if repo.counters.records != finish.records {
        let detail = format!("records: {} were announced, {} imported", finish.records, repo.counters.records);
        return Err(Error::new(Reason::ImportIncomplete, detail));
    }
    let reached_here = draft.blocks.get(&(finish.import, finish.data)).is_some_and(|change| change.plus > 0);
    if !reached_here && there(draft, finish.import, &finish.data)?.is_none_or(|root| root.refs == 0) {
        return Err(Error::new(Reason::ImportIncomplete, format!("data: the root {} was not reached", finish.data)));
    }
    let mut refs = Refs::default();
    refs.plus(finish.head.cid);
    refs.settle(draft, finish.import, &mut repo.counters)?;
    repo.head = Some(finish.head);
    repo.data = Some(finish.data);
    let row = CommitRow { cid: finish.head.cid, data: finish.data, pos: draft.stamp.pos, at: draft.stamp.at };
    draft.commits.push((repo.id, finish.head.rev, row));
    let account = draft.account()?;
    account.repo = Some(repo.id);
    account.import = None;
    draft.sweeps.extend(old.map(|repo| Sweep::Repo(repo.id)));
    // Blocks that were brought and not reached are in nobody's way until then: they have no reference and are not counted.
    draft.sweeps.push(Sweep::Purge(repo.id, draft.stamp.pos));
    draft.set_repo(repo);
    Ok(())
}

pub(super) fn abandon<V: View + ?Sized>(draft: &mut Draft<'_, V>, import: RepoId) -> Result<()> {
    is_current(draft, import)?;
    draft.account()?.import = None;
    draft.sweeps.push(Sweep::Repo(import));
    Ok(())
}

fn is_current<V: View + ?Sized>(draft: &mut Draft<'_, V>, import: RepoId) -> Result<()> {
    if draft.account()?.import == Some(import) {
        return Ok(());
    }
    Err(Error::new(Reason::RepoMissing, format!("import: {import} is not the account's current import")))
}

/// The length of a block that is supplied or was imported.
fn len<V: View + ?Sized>(draft: &Draft<'_, V>, import: RepoId, cid: &Cid) -> Result<Option<u32>> {
    match draft.checked.supplied(cid) {
        Some(i) => Ok(Some(draft.checked.supplied_len(i))),
        None => Ok(there(draft, import, cid)?.map(|block| block.len)),
    }
}

fn there<V: View + ?Sized>(draft: &Draft<'_, V>, import: RepoId, cid: &Cid) -> Result<Option<BlockRefs>> {
    if draft.is_new(import) { Ok(None) } else { draft.view.block(import, cid) }
}
