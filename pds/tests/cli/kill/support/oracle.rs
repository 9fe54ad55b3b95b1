//! What must be true of the store after each kill.

use std::collections::{BTreeMap, HashMap};

use backend_api::tree;
use backend_api::{At, Backend, Blocks, Cid, Did, Seq, Tid, VerifyLevel, cbor};
use ipld_core::ipld::Ipld;
use pds::cli::work::RepoBlocks;
use sha2::{Digest, Sha256};

use super::{Random, Told};

/// Old events that are read again after each kill.
const READ_AGAIN: u64 = 300;
const PAGE: usize = 500;

type Fault = String;

/// Everything that was ever told or read, over all kills.
#[derive(Default)]
pub struct Oracle {
    /// The hash of the frame of each event, from number 1.
    frames: Vec<String>,
    /// The commits of each repo as the events tell them.
    repos: BTreeMap<Did, BTreeMap<Tid, (Cid, u64)>>,
    /// What the last process told.
    acked: Vec<(Did, Tid, Cid, u64)>,
    seen: HashMap<u64, String>,
    acked_total: u64,
    seen_total: u64,
}

impl Oracle {
    pub fn told(&mut self, told: &Told) {
        self.acked.clone_from(&told.acked);
        self.seen = told.seen.iter().cloned().collect();
        self.acked_total += told.acked.len() as u64;
        self.seen_total += told.seen.len() as u64;
    }

    pub fn commits(&self) -> u64 {
        self.repos.values().map(|commits| commits.len() as u64).sum()
    }

    pub fn summary(&self) -> String {
        let (commits, events) = (self.commits(), self.frames.len());
        format!("{commits} commits, {events} events, {} acknowledged, {} seen", self.acked_total, self.seen_total)
    }

    /// Compares the store with all that is known.
    pub async fn check(&mut self, backend: &dyn Backend, random: &mut Random, deep: bool) -> Result<(), Fault> {
        self.numbers(backend).await?;
        self.read_new_events(backend).await?;
        self.acknowledged()?;
        self.read_again(backend, random, deep).await?;
        for (did, commits) in &self.repos {
            repo(backend, did, commits).await?;
        }
        let level = if deep { VerifyLevel::Deep } else { VerifyLevel::Quick };
        let report = backend.verify(level).await.map_err(|e| e.to_string())?;
        if report.problems.is_empty() { Ok(()) } else { Err(format!("verify: {:?}", report.problems)) }
    }

    /// No event that anybody saw is gone.
    async fn numbers(&self, backend: &dyn Backend) -> Result<(), Fault> {
        let window = backend.event_window().await.map_err(|e| e.to_string())?;
        let acked = self.acked.iter().map(|(.., seq)| *seq).max().unwrap_or(0);
        let seen = self.seen.keys().max().copied().unwrap_or(0);
        let known = (self.frames.len() as u64).max(acked).max(seen);
        if window.oldest.get() != 1 || window.head.get() < known {
            return Err(format!("the firehose has {window:?}, events up to {known} were seen"));
        }
        Ok(())
    }

    async fn read_new_events(&mut self, backend: &dyn Backend) -> Result<(), Fault> {
        loop {
            let after = Seq::new(self.frames.len() as u64).map_err(|e| e.to_string())?;
            let page = backend.events(after, PAGE, usize::MAX).await.map_err(|e| e.to_string())?;
            if page.is_empty() {
                return Ok(());
            }
            for event in page {
                let expected = self.frames.len() as u64 + 1;
                if event.seq.get() != expected {
                    return Err(format!("event {} comes where {expected} belongs", event.seq));
                }
                let hash = hash(&event.frame);
                if let Some(seen) = self.seen.get(&expected).filter(|seen| **seen != hash) {
                    return Err(format!("event {expected} was {seen} when a subscriber saw it, and is {hash}"));
                }
                self.frames.push(hash);
                let (did, rev, cid, seq) = commit_of(&event.frame)?;
                if seq != expected {
                    return Err(format!("event {expected} says that it is {seq}"));
                }
                if let Some((_, first)) = self.repos.entry(did.clone()).or_default().insert(rev, (cid, expected)) {
                    return Err(format!("events {first} and {expected} are of one commit, {did} at {rev}"));
                }
            }
        }
    }

    fn acknowledged(&self) -> Result<(), Fault> {
        for (did, rev, cid, seq) in &self.acked {
            let found = self.repos.get(did).and_then(|commits| commits.get(rev));
            if found != Some(&(*cid, *seq)) {
                return Err(format!("{did} at {rev}, {cid}, event {seq}, was acknowledged; there is {found:?}"));
            }
        }
        Ok(())
    }

    /// Frames never change: some old ones, or all.
    async fn read_again(&self, backend: &dyn Backend, random: &mut Random, all: bool) -> Result<(), Fault> {
        let count = self.frames.len() as u64;
        let (first, last) = match count.saturating_sub(READ_AGAIN) {
            0 => (0, count),
            _ if all => (0, count),
            starts => {
                let first = random.below(starts);
                (first, first + READ_AGAIN)
            }
        };
        let mut after = Seq::new(first).map_err(|e| e.to_string())?;
        while after.get() < last {
            let page = backend.events(after, PAGE, usize::MAX).await.map_err(|e| e.to_string())?;
            for event in &page {
                let known = &self.frames[event.seq.get() as usize - 1];
                if *known != hash(&event.frame) {
                    return Err(format!("the frame of event {} has changed", event.seq));
                }
            }
            after = page.last().map(|event| event.seq).ok_or_else(|| format!("no event after {after}"))?;
        }
        Ok(())
    }
}

/// The repo's history is its events, and its tree is whole.
async fn repo(backend: &dyn Backend, did: &Did, commits: &BTreeMap<Tid, (Cid, u64)>) -> Result<(), Fault> {
    let fault = |e: backend_api::Error| format!("{did}: {e}");
    let mut told = commits.iter().rev();
    let mut before = None;
    loop {
        let page = backend.history(did, before, PAGE).await.map_err(fault)?;
        for (rev, row) in page.items {
            match told.next() {
                Some((known, (cid, _))) if *known == rev && *cid == row.cid => {}
                other => return Err(format!("{did}: commit {rev} is in the history, the events have {other:?}")),
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    if let Some((rev, _)) = told.next() {
        return Err(format!("{did}: commit {rev} has an event and is not in the history"));
    }
    let state = backend.repo(did, At::Head).await.map_err(fault)?.ok_or_else(|| format!("{did} is gone"))?;
    if commits.last_key_value().map(|(rev, (cid, _))| (*rev, *cid)) != Some((state.head.rev, state.head.cid)) {
        return Err(format!("{did}: the head is {:?}, which is not the last commit", state.head));
    }
    let source = RepoBlocks { backend, did, which: Blocks::Live };
    let checked = tree::check(&source, state.data).await.map_err(fault)?;
    let counted = (checked.records, checked.nodes + checked.records + 1);
    if !checked.is_complete() || counted != (state.counters.records, state.counters.refs) {
        return Err(format!("{did}: {checked:?}, but it counts {:?}", state.counters));
    }
    Ok(())
}

fn hash(frame: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(frame)[..8])
}

/// DID, rev, CID and number of a `#commit` frame.
fn commit_of(frame: &[u8]) -> Result<(Did, Tid, Cid, u64), Fault> {
    let mut header = cbor::Reader::new(frame);
    let is_commit = header.map().is_ok() && header.key("t").is_ok() && header.text().is_ok_and(|t| t == "#commit");
    if !is_commit || header.key("op").is_err() || header.uint().is_err() {
        return Err("a frame that is no #commit".into());
    }
    let body: Ipld = serde_ipld_dagcbor::from_slice(&frame[header.offset()..]).map_err(|e| e.to_string())?;
    let Ipld::Map(mut body) = body else { return Err("a body that is no map".into()) };
    match (body.remove("repo"), body.remove("rev"), body.remove("commit"), body.remove("seq")) {
        (Some(Ipld::String(did)), Some(Ipld::String(rev)), Some(Ipld::Link(cid)), Some(Ipld::Integer(seq))) => {
            let cid = Cid::from_bytes(&cid.to_bytes()).map_err(|e| e.to_string())?;
            let (did, rev) = (did.parse(), rev.parse());
            Ok((did.map_err(|_| "a DID")?, rev.map_err(|_| "a rev")?, cid, u64::try_from(seq).map_err(|_| "a number")?))
        }
        other => Err(format!("a #commit with {other:?}")),
    }
}
