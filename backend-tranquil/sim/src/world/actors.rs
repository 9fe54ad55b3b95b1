//! Those who take their time: exports, the reader of the change feed, sweeps among writers, large imports.

use backend_api::{Block, Changes, Cid, Codec, Maintenance, Snapshot, SnapshotItem, Snapshots, VerifyLevel};
use conformance::history::{Intent, Note};
use futures::{FutureExt as _, StreamExt as _};

use super::{Sent, World};
use crate::invariants::{Held, Violation, held, lies};

/// An export that is read bit by bit.
pub(super) struct Export {
    items: futures::stream::BoxStream<'static, backend_api::Result<SnapshotItem>>,
    found: Vec<SnapshotItem>,
    expected: Vec<SnapshotItem>,
}

impl World {
    /// The reader of the change feed reads on.
    pub(super) fn consume(&mut self, limit: u64) -> Held {
        let after = self.feed.position();
        let db = self.engine().db.clone();
        let call = async move { db.changes(after, limit as usize, usize::MAX).await };
        let answer = self.wait(call);
        // Seen is seen, also if the machine went down the next moment.
        if let Ok(Ok(changes)) = &answer.0 {
            self.feed.saw(after, changes)?;
        }
        match self.heard("changes", answer)? {
            Some(Err(e)) => self.may_fail(&e),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Somebody begins to export everything, or reads on: what comes is the state of the moment in which it began.
    pub(super) fn export(&mut self, limit: u64) -> Held {
        let Some(mut export) = self.export.take() else { return self.begin_export() };
        let read = async move {
            for _ in 0..limit {
                match export.items.next().await {
                    Some(Ok(item)) => export.found.push(item),
                    Some(Err(e)) => return Err(e),
                    None => return Ok((export, true)),
                }
            }
            Ok((export, false))
        };
        match self.call("an export", read)? {
            Some(Ok((export, true))) if export.found == export.expected => Ok(()),
            Some(Ok((export, true))) => {
                let what = conformance::digest::difference(&export.found, &export.expected);
                Err(Violation::new("agrees", format!("an export: {}", what.unwrap_or_default())))
            }
            Some(Ok((export, false))) => {
                lies::is_beginning(&export.found, &export.expected)?;
                self.export = Some(export);
                Ok(())
            }
            Some(Err(e)) => self.may_fail(&e),
            None => Ok(()),
        }
    }

    fn begin_export(&mut self) -> Held {
        self.end_sweep()?;
        self.settle()?;
        if !self.is_idle() {
            return Ok(());
        }
        let db = self.engine().db.clone();
        match self.call("an export", async move { db.snapshot().await })? {
            Some(Ok(Snapshot { items, .. })) => {
                let expected = async { held::items(self.model.snapshot().await?).await };
                let expected = expected.now_or_never().expect("the model never waits");
                let expected = expected.map_err(|e| Violation::new("agrees", format!("the model's snapshot: {e}")))?;
                self.export = Some(Export { items, found: Vec::new(), expected });
                Ok(())
            }
            Some(Err(e)) => self.may_fail(&e),
            None => Ok(()),
        }
    }

    /// Somebody checks the store, or has it repaired: where nothing went wrong nothing is wrong, whatever goes on meanwhile.
    pub(super) fn check(&mut self, repairs: bool) -> Held {
        let level = if repairs { VerifyLevel::Repair } else { VerifyLevel::Deep };
        let db = self.engine().db.clone();
        match self.call("a check", async move { db.verify(level).await })? {
            Some(Ok(report)) => {
                self.look_for_trouble();
                lies::is_sound(&report, self.troubled)
            }
            Some(Err(e)) => self.may_fail(&e),
            None => Ok(()),
        }
    }

    /// A sweep in small steps, while people write what does not depend on whether something is forgotten already.
    pub(super) fn sweep_among(&mut self, budget: usize) -> Held {
        self.end_sweep()?;
        self.settle()?;
        if !self.is_idle() {
            return Ok(());
        }
        self.sweep_owed = Some(self.machine.now());
        for _ in 0..8 {
            for _ in 0..self.rng.below(3) {
                let (who, intent) = self.harmless();
                self.send_now(&[(who, vec![intent])])?;
            }
            let db = self.engine().db.clone();
            match self.call("sweep", async move { db.sweep(budget).await })? {
                Some(Ok(report)) if report.done => break,
                Some(Ok(_)) => {}
                Some(Err(e)) => return self.may_fail(&e),
                None => return Ok(()),
            }
            if self.sweep_owed.is_none() {
                return Ok(());
            }
        }
        self.settle()?;
        // What was written meanwhile may have made more of it.
        if self.is_idle() && self.sweep_owed.is_some() { self.sweep_on(1_000) } else { Ok(()) }
    }

    /// A commit of this sort puts a new text in the place of one that is there: no node comes back that there was before,
    /// of which it would show when it was last released.
    fn harmless(&mut self) -> (u64, Intent) {
        let (who, lot, text) = (self.rng.below(5), self.rng.next() >> 1, self.rng.next());
        let did = conformance::history::World::did(who);
        let person = self.people.people().find(|person| person.repo.did == did);
        let paths = person.into_iter().flat_map(|person| person.repo.records.keys());
        let paths: Vec<u64> = paths.filter_map(|path| path.as_str().rsplit('/').next()?.parse().ok()).collect();
        let intent = match paths.get((lot % paths.len().max(1) as u64) as usize) {
            Some(path) if lot % 4 > 0 => {
                let note = Note { path: *path, text: Some(text), blob: None, link: None };
                Intent::Commit { writes: vec![note], announced: true, fault: None }
            }
            _ if lot % 2 == 0 => Intent::PutBlob(lot % 6),
            _ => Intent::Account,
        };
        (who, intent)
    }

    /// An import in mutations that are large each; small ones of others pass them.
    pub(super) fn large(&mut self, who: u64, kib: u64) -> Held {
        self.send(&[(who, vec![Intent::BeginImport])])?;
        self.settle()?;
        self.end_sweep()?;
        if !self.is_idle() {
            return Ok(());
        }
        for _ in 0..1 + self.rng.below(3) {
            let now = self.machine.now();
            let (mut mutation, after) = self.people.mutation(who, &[Intent::ImportBlocks], now);
            let mut bytes = vec![0; kib as usize * 1024];
            bytes[..8].copy_from_slice(&self.rng.next().to_le_bytes());
            let cid = Cid::of(Codec::Raw, &bytes);
            self.people.knows(cid);
            mutation.blocks.push(Block::claimed(cid, bytes.into()));
            mutation.blocks.sort_by_key(|block| block.cid());
            self.fly(vec![Sent::new(mutation, who, after)], true)?;
        }
        let (other, blob) = ((who + 1) % 5, self.rng.below(6));
        self.send_now(&[(other, vec![Intent::PutBlob(blob)])])
    }
}
