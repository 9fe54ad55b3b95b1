//! The rules, once for all backends: `plan(view, mutation)` decides whether a mutation is taken and what it does.
//!
//! Pure: no I/O but the view's, no clock, no randomness. The same view, mutation and stamp give the same effects, on
//! every backend, at every replay.

mod account;
mod announce;
mod blob;
mod commit;
mod draft;
mod import;
mod row;

use crate::check::Checked;
use crate::effect::{Effect, Effects, ReceiptRow};
use crate::error::{Error, Reason, Result};
use crate::mutation::{Op, Stamp};
use crate::number::Seq;
use crate::repo::Receipt;
use crate::view::View;

use draft::Draft;

/// What is to be done with a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Take it: carry out these effects.
    Take(Effects),
    /// It was taken before: answer this, change nothing.
    Again(Receipt),
}

/// Decides about a mutation on one consistent state.
///
/// # Errors
/// The refusal; or an error of the view, passed through. In both cases nothing is to be changed.
pub fn plan<V: View + ?Sized>(view: &V, checked: &Checked, stamp: Stamp) -> Result<Plan> {
    let mutation = checked.mutation();
    if let Some(row) = view.receipt(&mutation.did, &mutation.key)? {
        if row.digest == checked.digest() {
            return Ok(Plan::Again(row.receipt));
        }
        let detail = format!("key: {:?} was used before for another mutation of {}", mutation.key, mutation.did);
        return Err(Error::new(Reason::KeyReused, detail));
    }
    replan(view, checked, stamp).map(Plan::Take)
}

/// What a mutation does that is known to have been taken with these numbers: for replay of a log or a change feed. Does
/// not look for a receipt, since the store that took it may have forgotten one under the same key which this one still
/// has.
///
/// # Errors
/// As [`plan()`]; then the state is not the one that the mutation was taken on.
pub fn replan<V: View + ?Sized>(view: &V, checked: &Checked, stamp: Stamp) -> Result<Effects> {
    let mutation = checked.mutation();
    let mut draft = Draft::new(view, checked, stamp)?;
    for (i, op) in mutation.ops.iter().enumerate() {
        plan_op(&mut draft, i, op).map_err(|e| e.context(format!("ops[{i}]")))?;
    }
    let (mut changes, events, taken) = draft.finish()?;
    let receipt = Receipt {
        pos: stamp.pos,
        at: stamp.at,
        first_seq: if events.is_empty() { Seq::ZERO } else { stamp.first_seq },
        events: events.len() as u32,
        taken,
    };
    let row = ReceiptRow { digest: checked.digest(), receipt: receipt.clone() };
    changes.push(Effect::Receipt(mutation.did.clone(), mutation.key, row));
    Ok(Effects { changes, events, receipt })
}

fn plan_op<V: View + ?Sized>(draft: &mut Draft<'_, V>, index: usize, op: &Op) -> Result<()> {
    match op {
        Op::CreateAccount(new) => account::create(draft, new),
        Op::UpdateAccount(patch) => account::update(draft, patch),
        Op::SetStatus(status) => account::set_status(draft, *status),
        Op::DeleteAccount => account::delete(draft),
        Op::Commit(commit) => commit::commit(draft, index, commit),
        Op::BeginImport => import::begin(draft),
        Op::ImportBlocks { import } => import::blocks(draft, *import),
        Op::ImportTree(step) => import::tree(draft, step),
        Op::FinishImport(finish) => import::finish(draft, finish),
        Op::AbandonImport { import } => import::abandon(draft, *import),
        Op::PutBlob { cid, mime, bytes } => blob::put(draft, *cid, mime, *bytes),
        Op::DeleteBlob(cid) => blob::delete(draft, *cid),
        Op::PutRow { row, expect } => row::put(draft, row, expect),
        Op::DeleteRow { key, expect } => row::delete(draft, key, expect),
        Op::TakeRow(key) => row::take(draft, key),
        Op::Emit(announce) => announce::emit(draft, announce),
        Op::Purge => account::purge(draft),
    }
}
