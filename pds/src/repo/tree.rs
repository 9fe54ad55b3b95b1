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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::{Counting, Numbers, record, repo};
    use super::*;

    fn path(key: &str) -> RecordPath {
        key.parse().unwrap()
    }

    /// jacquard's tree against ours, which passes the published vectors: after every batch the same root.
    #[tokio::test]
    async fn every_change_gives_the_one_tree_of_its_records() {
        let mut numbers = Numbers(7);
        let mut records = BTreeMap::new();
        for round in 0..250 {
            let (root, blocks) = repo(&records);
            let overlay = Overlay::new(blocks);
            let mut tree = Tree::load(&overlay, &root).unwrap();
            // The tree grows, shrinks to nothing, and grows again.
            let shrinking = round % 100 >= 60;
            for _ in 0..1 + numbers.below(12) {
                let key = format!("com.example.{}/{}", ["a", "b"][numbers.below(2) as usize], numbers.below(120));
                let found = tree.get(&path(&key)).await.unwrap();
                assert_eq!(found, records.get(&key).map(|n| Cid::of_block(&record(*n))));
                if found.is_some() && (shrinking || numbers.below(4) == 0) {
                    tree.delete(&path(&key)).await.unwrap();
                    records.remove(&key);
                } else if !shrinking {
                    let n = numbers.below(1_000);
                    tree.put(&path(&key), &Cid::of_block(&record(n))).await.unwrap();
                    records.insert(key, n);
                }
            }
            if shrinking {
                for key in records.keys().take(4).cloned().collect::<Vec<_>>() {
                    tree.delete(&path(&key)).await.unwrap();
                    records.remove(&key);
                }
            }
            let new = tree.finish().await.unwrap();
            let (expected, nodes) = repo(&records);
            assert_eq!(new, expected, "round {round}, {} records", records.len());
            for (cid, _) in nodes.iter() {
                let is_node = backend_api::tree::Node::decode(cid, nodes.get(cid).unwrap()).is_ok();
                assert!(!is_node || BlockSource::blocks(&overlay, &[*cid]).await.unwrap()[0].is_some(), "{cid}");
            }
        }
    }

    #[tokio::test]
    async fn a_write_reads_the_way_to_its_record_and_not_the_tree() {
        let records: BTreeMap<String, u64> = (0..5_000).map(|n| (format!("com.example.a/{n:06}"), n)).collect();
        let (root, blocks) = repo(&records);
        let source = Counting::new(blocks);
        let overlay = Overlay::new(source.clone());
        let mut tree = Tree::load(&overlay, &root).unwrap();
        tree.put(&path("com.example.a/002500x"), &Cid::of_block(&record(1))).await.unwrap();
        tree.finish().await.unwrap();
        assert!(source.read() < 40, "{} blocks were read", source.read());
    }

    #[tokio::test]
    async fn what_the_tree_cannot_hold_is_refused_and_what_is_missing_is_named() {
        let (root, blocks) = repo(&BTreeMap::new());
        let mut tree = Tree::load(&Overlay::new(blocks), &root).unwrap();
        let long = path(&format!("com.example.a/{}", "k".repeat(KEY_BYTES_MAX)));
        assert_eq!(tree.put(&long, &root).await.unwrap_err().reason(), Reason::BadRecordKey);
        assert_eq!(tree.get(&long).await.unwrap_err().reason(), Reason::BadRecordKey);
        let nothing = Overlay::new(backend_api::tree::BlockMap::new());
        let tree = Tree::load(&nothing, &root).unwrap();
        assert_eq!(tree.get(&path("com.example.a/b")).await.unwrap_err().reason(), Reason::BlockMissing);
    }
}
