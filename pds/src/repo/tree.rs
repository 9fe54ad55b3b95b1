//! Changing a repo's tree with jacquard-repo's `Mst`.

use std::error::Error as _;
use std::sync::Arc;

use backend_api::tree::BlockSource;
use backend_api::{Cid, Error, Reason, RecordPath, Result};
use jacquard_repo::{Mst, RepoError, RepoErrorKind};

use super::blocks::{Overlay, from_ipld, to_ipld};

/// Keys that `Mst` takes: shorter than the protocol's.
const KEY_BYTES_MAX: usize = 256;

/// A tree being changed. New nodes end in the overlay.
pub(super) struct Tree<S: BlockSource + Clone + 'static>(Mst<Overlay<S>>);

impl<S: BlockSource + Clone + 'static> Tree<S> {
    /// The tree of a root.
    ///
    /// # Errors
    /// Here and below: those of the block source, [`Reason::BadTree`] for a tree that is not one.
    pub fn load(overlay: &Overlay<S>, root: &Cid) -> Result<Self> {
        let root = to_ipld(root).map_err(error)?;
        Ok(Self(Mst::load(Arc::new(overlay.clone()), root, None)))
    }


    /// The record at a path.
    pub async fn get(&self, path: &RecordPath) -> Result<Option<Cid>> {
        key(path)?;
        let found = self.0.get(path.as_str()).await.map_err(error)?;
        found.map(|cid| from_ipld(&cid).map_err(error)).transpose()
    }

    /// Puts a record at a path, over what is there.
    pub async fn put(&mut self, path: &RecordPath, cid: &Cid) -> Result<()> {
        self.0 = self.0.add(key(path)?, to_ipld(cid).map_err(error)?).await.map_err(error)?;
        Ok(())
    }

    /// Takes the record away that is at a path.
    pub async fn delete(&mut self, path: &RecordPath) -> Result<()> {
        self.0 = self.0.delete(key(path)?).await.map_err(error)?;
        Ok(())
    }

    /// Puts the new nodes into the overlay, and gives the root.
    pub async fn finish(self) -> Result<Cid> {
        from_ipld(&self.0.persist().await.map_err(error)?).map_err(error)
    }
}

fn key(path: &RecordPath) -> Result<&str> {
    let text = path.as_str();
    if text.len() <= KEY_BYTES_MAX {
        return Ok(text);
    }
    let len = text.len();
    let detail = format!("collection and record key: {len} bytes with the slash; this host takes {KEY_BYTES_MAX}");
    Err(Error::new(Reason::BadRecordKey, detail))
}

/// The error of a tree. One of the store comes through as it is.
fn error(e: RepoError) -> Error {
    if let Some(stored) = e.source().and_then(|source| source.downcast_ref::<Error>()) {
        return stored.clone();
    }
    let reason = match e.kind() {
        RepoErrorKind::NotFound => Reason::BlockMissing,
        RepoErrorKind::InvalidKey => Reason::BadRecordKey,
        _ => Reason::BadTree,
    };
    Error::new(reason, format!("the repo's tree: {e}"))
}
