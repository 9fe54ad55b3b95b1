//! The tree of a CAR file, from left to right, every node checked in its place.

use backend_api::tree::{Key, Node, Place};
use backend_api::{Cid, Error, Reason, RecordPath, Result};

use super::car_file::{CarFile, Found};

/// One block that the tree reaches.
pub enum Reached {
    /// A node; it comes before all that is below it.
    Node {
        /// Its CID.
        cid: Cid,
        /// Its block.
        block: Found,
    },
    /// A record.
    Record {
        /// Where it stands.
        path: RecordPath,
        /// Its CID.
        cid: Cid,
        /// Its block.
        block: Found,
    },
}

/// A walk over the whole tree, in the order in which exports are written, so that most files are read from front to back.
///
/// Memory: what is still to come of the nodes on one way down.
pub struct FileTree<'a> {
    car: &'a CarFile,
    /// The next one last.
    pending: Vec<Pending>,
}

struct Pending {
    what: What,
    /// The block that refers to it, for errors.
    parent: Cid,
}

enum What {
    Node(Cid, Place),
    Record(Key, Cid),
}

impl<'a> FileTree<'a> {
    /// Starts at the data root of the file's commit.
    #[must_use]
    pub fn new(car: &'a CarFile) -> Self {
        let what = What::Node(car.commit().data, Place::root());
        Self { car, pending: vec![Pending { what, parent: car.head().cid }] }
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// [`Reason::BlockMissing`] with the missing CID, [`Reason::BadTree`], [`Reason::BadRecordKey`] or
    /// [`Reason::BadNsid`] with the offset of the block that is wrong; [`Reason::ReadFailed`].
    pub fn next(&mut self) -> Result<Option<Reached>> {
        let Some(Pending { what, parent }) = self.pending.pop() else { return Ok(None) };
        match what {
            What::Node(cid, place) => self.node(cid, &place, parent).map(Some),
            What::Record(key, cid) => self.record(&key, cid, parent).map(Some),
        }
    }

    fn node(&mut self, cid: Cid, place: &Place, parent: Cid) -> Result<Reached> {
        let block = self.block(&cid, &parent, "tree node")?;
        let at = |e: Error| e.context(format_args!("{}: byte {}", self.car.name(), block.offset));
        let node = Node::decode(&cid, &block.bytes).map_err(at)?;
        let layer = place.check(&cid, &node).map_err(at)?;
        let mut steps = Vec::with_capacity(node.entries.len() * 2 + 1);
        let mut records = node.entries.iter().map(|entry| What::Record(entry.key.clone(), entry.value));
        let mut taken = 0;
        for (index, subtree, place) in place.subtrees(layer, &node) {
            // The subtree at `index` stands after the record of entry `index - 1`.
            steps.extend(records.by_ref().take(index - taken));
            taken = index;
            steps.push(What::Node(subtree, place));
        }
        steps.extend(records);
        self.pending.extend(steps.into_iter().rev().map(|what| Pending { what, parent: cid }));
        Ok(Reached::Node { cid, block })
    }

    fn record(&self, key: &Key, cid: Cid, parent: Cid) -> Result<Reached> {
        let block = self.block(&cid, &parent, key.as_str())?;
        let at = |e: Error| e.context(format_args!("{}: byte {}", self.car.name(), block.offset));
        let path = RecordPath::try_from(key).map_err(at)?;
        Ok(Reached::Record { path, cid, block })
    }

    fn block(&self, cid: &Cid, parent: &Cid, what: &str) -> Result<Found> {
        match self.car.block(cid)? {
            Some(found) => Ok(found),
            None => {
                let whose = match self.car.block(parent)? {
                    Some(found) => format!("block {parent} at byte {}", found.offset),
                    None => format!("block {parent}"),
                };
                let detail = format!(
                    "{}: {whose} refers to {cid} ({what}), which is not in the file: this is not a whole repository",
                    self.car.name()
                );
                Err(Error::new(Reason::BlockMissing, detail))
            }
        }
    }
}
