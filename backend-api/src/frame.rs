//! The wire frames of the firehose: Sync 1.1 (`com.atproto.sync.subscribeRepos`), in deterministic DAG-CBOR.
//!
//! A frame is two CBOR values: a header `{op, t}` and a body. Every backend gets its bytes from here (promise P8).

use crate::account::AccountStatus;
use crate::car;
use crate::cbor::Writer;
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};
use crate::ids::{Did, Handle};
use crate::limits::FRAME_BYTES_MAX;
use crate::mutation::{Action, CommitEvent, Event, Mutation, Op, RepoCommit};
use crate::number::{Micros, Seq};
use crate::repo::Block;

/// The frame of an event of a mutation. `block` gives the bytes of a block that the mutation supplied.
///
/// # Errors
/// [`Reason::BlockMissing`] if `block` has not what the event carries; [`Reason::TooLarge`] over [`FRAME_BYTES_MAX`].
/// Neither happens for an event that the planner gave out.
pub fn event<'a>(
    mutation: &'a Mutation,
    event: &Event,
    seq: Seq,
    at: Micros,
    block: &dyn Fn(&Cid) -> Option<&'a Block>,
) -> Result<Vec<u8>> {
    let did = &mutation.did;
    let frame = match event {
        Event::Commit(commit) => {
            let Some(Op::Commit(op)) = mutation.ops.get(commit.op) else {
                return Err(Error::new(Reason::BadRequest, "a commit event without its operation"));
            };
            commit_frame(did, commit, op, seq, at, block)?
        }
        Event::Sync { commit, rev } => {
            let blocks = Car::of(*commit, &[], block)?;
            let mut w = header("#sync", blocks.len + 256);
            w.map(5).text("did").text(did.as_str()).text("rev").text(&rev.to_string());
            w.text("seq").uint(seq.get()).text("time").text(&at.to_rfc3339()).text("blocks");
            blocks.write(&mut w);
            w.into_bytes()
        }
        Event::Identity { handle } => identity(did, handle.as_ref(), seq, at),
        Event::Account { status } => account(did, *status, seq, at),
    };
    if frame.len() > FRAME_BYTES_MAX {
        let detail = format!("frame: {} bytes is more than {FRAME_BYTES_MAX}", frame.len());
        return Err(Error::new(Reason::TooLarge, detail));
    }
    Ok(frame)
}

fn commit_frame<'a>(
    did: &Did,
    event: &CommitEvent,
    op: &RepoCommit,
    seq: Seq,
    at: Micros,
    block: &dyn Fn(&Cid) -> Option<&'a Block>,
) -> Result<Vec<u8>> {
    let carried = op.announce.as_deref().unwrap_or_default();
    let blocks = Car::of(event.head.cid, carried, block)?;
    let mut w = header("#commit", blocks.len + 512 + op.records.len() * 160);
    // Keys in the canonical order: by length, then by bytes.
    w.map(11 + usize::from(event.prev_data.is_some())).text("ops").array(op.records.len());
    for record in &op.records {
        let action = match record.action() {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        w.map(3 + usize::from(record.old.is_some())).text("cid").link_or_null(record.new.as_ref());
        w.text("path").text(record.path.as_str());
        if let Some(prev) = &record.old {
            w.text("prev").link(prev);
        }
        w.text("action").text(action);
    }
    w.text("rev").text(&event.head.rev.to_string()).text("seq").uint(seq.get()).text("repo").text(did.as_str());
    w.text("time").text(&at.to_rfc3339()).text("blobs").array(0);
    w.text("since");
    match &event.since {
        Some(since) => w.text(&since.to_string()),
        None => w.null(),
    };
    w.text("blocks");
    blocks.write(&mut w);
    w.text("commit").link(&event.head.cid).text("rebase").bool(false);
    w.text("tooBig").bool(false);
    if let Some(data) = &event.prev_data {
        w.text("prevData").link(data);
    }
    Ok(w.into_bytes())
}

fn identity(did: &Did, handle: Option<&Handle>, seq: Seq, at: Micros) -> Vec<u8> {
    let mut w = header("#identity", 256);
    w.map(3 + usize::from(handle.is_some())).text("did").text(did.as_str()).text("seq").uint(seq.get());
    w.text("time").text(&at.to_rfc3339());
    if let Some(handle) = handle {
        w.text("handle").text(handle.as_str());
    }
    w.into_bytes()
}

fn account(did: &Did, status: AccountStatus, seq: Seq, at: Micros) -> Vec<u8> {
    let label = status.label();
    let mut w = header("#account", 256);
    w.map(4 + usize::from(label.is_some())).text("did").text(did.as_str()).text("seq").uint(seq.get());
    w.text("time").text(&at.to_rfc3339()).text("active").bool(label.is_none());
    if let Some(label) = label {
        w.text("status").text(label);
    }
    w.into_bytes()
}

/// The `#info` frame, such as `OutdatedCursor`. It has no number.
#[must_use]
pub fn info(name: &str, message: &str) -> Vec<u8> {
    let mut w = header("#info", 128);
    w.map(2).text("name").text(name).text("message").text(message);
    w.into_bytes()
}

/// The error frame, such as `FutureCursor` or `ConsumerTooSlow`; the stream ends after it.
#[must_use]
pub fn error(name: &str, message: &str) -> Vec<u8> {
    let mut w = Writer::with_capacity(128);
    w.map(1).text("op").int(-1);
    w.map(2).text("error").text(name).text("message").text(message);
    w.into_bytes()
}

fn header(t: &str, capacity: usize) -> Writer {
    let mut w = Writer::with_capacity(capacity);
    w.map(2).text("t").text(t).text("op").uint(1);
    w
}

/// A CAR of blocks that are at hand, written where it belongs.
struct Car<'a> {
    header: Vec<u8>,
    blocks: Vec<&'a Block>,
    len: usize,
}

impl<'a> Car<'a> {
    fn of(root: Cid, others: &[Cid], block: &dyn Fn(&Cid) -> Option<&'a Block>) -> Result<Self> {
        let header = car::header(root);
        let (mut blocks, mut len) = (Vec::with_capacity(1 + others.len()), header.len());
        for cid in std::iter::once(&root).chain(others) {
            let Some(block) = block(cid) else {
                return Err(Error::new(Reason::BlockMissing, format!("event: block {cid} is not at hand")));
            };
            len += car::block_size(block.bytes().len());
            blocks.push(block);
        }
        Ok(Self { header, blocks, len })
    }

    fn write(&self, w: &mut Writer) {
        w.bytes_of(self.len, |out| {
            out.extend_from_slice(&self.header);
            for block in &self.blocks {
                car::append_block(out, &block.cid(), block.bytes());
            }
        });
    }
}
