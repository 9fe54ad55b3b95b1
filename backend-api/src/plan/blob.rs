//! Blobs: metadata, and what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
use crate::ids::RecordPath;
use crate::number::RepoId;
use crate::repo::Blob;
use crate::view::View;

use super::draft::Draft;

pub(super) fn put<V: View + ?Sized>(draft: &mut Draft<'_, V>, cid: Cid, mime: &str, bytes: u64) -> Result<()> {
    if get(draft, &cid)?.is_none() {
        let blob = Blob { cid, mime: mime.into(), bytes, at: draft.stamp.at };
        draft.blobs.insert(cid, Some(blob));
    }
    Ok(())
}

pub(super) fn delete<V: View + ?Sized>(draft: &mut Draft<'_, V>, cid: Cid) -> Result<()> {
    if get(draft, &cid)?.is_none() {
        return Err(Error::new(Reason::BlobMissing, format!("no blob {cid}")));
    }
    if in_use(draft, &cid)? {
        return Err(Error::new(Reason::BlobInUse, format!("a record refers to blob {cid}")));
    }
    draft.blobs.insert(cid, None);
    Ok(())
}

/// A blob goes with the last reference to it. Called after the operation that takes references away.
pub(super) fn drop_unused<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<()> {
    let is_lost = |uses: &BTreeMap<RecordPath, bool>| uses.values().any(|there| !there);
    let lost: BTreeSet<Cid> =
        draft.blob_uses.iter().filter(|(_, uses)| is_lost(uses)).map(|((_, cid), _)| *cid).collect();
    for cid in lost {
        if get(draft, &cid)?.is_some() && !in_use(draft, &cid)? {
            draft.blobs.insert(cid, None);
        }
    }
    Ok(())
}

fn get<V: View + ?Sized>(draft: &mut Draft<'_, V>, cid: &Cid) -> Result<Option<Blob>> {
    let account = draft.account()?.id;
    match draft.blobs.get(cid) {
        Some(blob) => Ok(blob.clone()),
        None => draft.view.blob(account, cid),
    }
}

/// True if a record refers to the blob, of the repo or of the generation that an import fills.
fn in_use<V: View + ?Sized>(draft: &mut Draft<'_, V>, cid: &Cid) -> Result<bool> {
    let account = draft.account()?;
    for repo in [account.repo, account.import].into_iter().flatten() {
        if used_by(draft, repo, cid)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn used_by<V: View + ?Sized>(draft: &Draft<'_, V>, repo: RepoId, cid: &Cid) -> Result<bool> {
    let none = BTreeMap::new();
    let here = draft.blob_uses.get(&(repo, *cid)).unwrap_or(&none);
    if here.values().any(|there| *there) {
        return Ok(true);
    }
    let stored = draft.view.blob_uses(repo, cid, here.len() + 1)?;
    Ok(stored.into_iter().any(|path| !here.contains_key(&path)))
}
