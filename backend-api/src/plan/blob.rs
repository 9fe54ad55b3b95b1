//! Blobs: metadata, and what refers to it.

use std::collections::BTreeMap;

use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
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
    if let Some(repo) = draft.account()?.repo
        && in_use(draft, repo, &cid)?
    {
        return Err(Error::new(Reason::BlobInUse, format!("a record refers to blob {cid}")));
    }
    draft.blobs.insert(cid, None);
    Ok(())
}

/// A blob goes with the last reference to it.
pub(super) fn drop_unused<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<()> {
    let mut lost: BTreeMap<(RepoId, Cid), ()> = BTreeMap::new();
    for ((repo, cid, _), there) in &draft.blob_uses {
        if !there {
            lost.insert((*repo, *cid), ());
        }
    }
    for (repo, cid) in lost.into_keys() {
        if draft.account.is_some() && get(draft, &cid)?.is_some() && !in_use(draft, repo, &cid)? {
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

fn in_use<V: View + ?Sized>(draft: &Draft<'_, V>, repo: RepoId, cid: &Cid) -> Result<bool> {
    let here = || draft.blob_uses.iter().filter(|((r, c, _), _)| (*r, *c) == (repo, *cid));
    if here().any(|(_, there)| *there) {
        return Ok(true);
    }
    let gone = here().count();
    let stored = draft.view.blob_uses(repo, cid, gone + 1)?;
    Ok(stored.into_iter().any(|path| !draft.blob_uses.contains_key(&(repo, *cid, path))))
}
