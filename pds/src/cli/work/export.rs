//! `export`: a repository as a CAR file, whole or since a rev.

use std::collections::HashSet;

use backend_api::tree::{self, BlockSource, Node};
use backend_api::{At, Backend, Blocks, Cid, Did, Error, Reason, RepoState, Result, Tid, car};
use bytes::Bytes;

use super::repo_blocks::RepoBlocks;
use super::{Exported, Follower, Phase, Progress, cancelled};

/// Bytes that are gathered before they are sent.
const PIECE_BYTES: usize = 256 * 1024;

/// Writes a repository's CAR: the commit first, then the tree from left to right, each node before what is below it. With
/// `since`, only what is new after that rev: the commit, new nodes, and the blocks of records that were written, each once;
/// the cost is that of the change.
///
/// One state is exported, whatever is written meanwhile: blocks that are released keep readable as history.
///
/// # Errors
/// [`Reason::RepoMissing`]; [`Reason::CursorGone`] if the history does not reach back to `since`; what `follower` answers.
pub async fn export(backend: &dyn Backend, did: &Did, since: Option<Tid>, follower: &dyn Follower) -> Result<Exported> {
    let Some(state) = backend.repo(did, At::Head).await? else {
        return Err(Error::new(Reason::RepoMissing, format!("{did} has no repository here")));
    };
    let source = RepoBlocks { backend, did, which: Blocks::History };
    let mut out = Writer { follower, piece: car::header(state.head.cid), exported: Exported::new(did, &state) };
    out.block(&state.head.cid, &one(&source, &state.head.cid).await?).await?;
    match since {
        None => {
            let mut blocks = tree::nodes(&source, state.data);
            while let Some((cid, block)) = blocks.next().await? {
                out.block(&cid, &block).await?;
            }
        }
        Some(since) => {
            let old = past(backend, did, since).await?;
            Changed::new(&source, &old, &state).await?.write(&source, state.data, &mut out).await?;
        }
    }
    out.finish().await
}

async fn past(backend: &dyn Backend, did: &Did, since: Tid) -> Result<RepoState> {
    backend.repo(did, At::Rev(since)).await?.ok_or_else(|| {
        let detail = format!("the history of {did} has no rev {since} (any more): export the whole repository");
        Error::new(Reason::CursorGone, detail)
    })
}

/// What a structural difference says is new.
struct Changed {
    nodes: HashSet<Cid>,
    records: HashSet<(Box<str>, Cid)>,
    sent: HashSet<Cid>,
}

impl Changed {
    async fn new(source: &RepoBlocks<'_>, old: &RepoState, new: &RepoState) -> Result<Self> {
        let changes = tree::changes(source, Some(old.data), new.data, usize::MAX).await?;
        let written = changes.record_ops.iter().filter_map(|op| Some((op.path.as_str().into(), op.new?)));
        Ok(Self {
            nodes: changes.created_nodes.into_iter().collect(),
            records: written.collect(),
            sent: HashSet::new(),
        })
    }

    /// Walks the new nodes only: a node that is shared has nothing new below it.
    async fn write(mut self, source: &RepoBlocks<'_>, root: Cid, out: &mut Writer<'_>) -> Result<()> {
        let mut pending = vec![(root, true)];
        while let Some((cid, is_node)) = pending.pop() {
            if is_node && !self.nodes.contains(&cid) || !self.sent.insert(cid) {
                continue;
            }
            let block = one(source, &cid).await?;
            if is_node {
                let node = Node::decode(&cid, &block)?;
                for (index, entry) in node.entries.iter().enumerate().rev() {
                    pending.extend(node.subtree(index + 1).map(|below| (below, true)));
                    if self.records.contains(&(entry.key.as_str().into(), entry.value)) {
                        pending.push((entry.value, false));
                    }
                }
                pending.extend(node.left.map(|below| (below, true)));
            }
            out.block(&cid, &block).await?;
        }
        Ok(())
    }
}

async fn one(source: &RepoBlocks<'_>, cid: &Cid) -> Result<Bytes> {
    source.blocks(std::slice::from_ref(cid)).await?.pop().flatten().ok_or_else(|| {
        Error::new(
            Reason::DataCorrupt,
            format!("{}: block {cid} is needed by the repository and is not there", source.did),
        )
    })
}

struct Writer<'a> {
    follower: &'a dyn Follower,
    piece: Vec<u8>,
    exported: Exported,
}

impl Writer<'_> {
    async fn block(&mut self, cid: &Cid, block: &[u8]) -> Result<()> {
        car::append_block(&mut self.piece, cid, block);
        self.exported.blocks += 1;
        if self.piece.len() >= PIECE_BYTES { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<()> {
        if self.follower.is_cancelled() {
            return Err(cancelled("export"));
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.exported.bytes += piece.len() as u64;
        self.follower.bytes(piece).await?;
        self.follower.progress(Progress { phase: Phase::Send, done: self.exported.bytes, total: None });
        Ok(())
    }

    async fn finish(mut self) -> Result<Exported> {
        self.send().await?;
        Ok(self.exported)
    }
}
