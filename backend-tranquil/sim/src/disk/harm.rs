//! A device that lies: what it did not write, or wrote elsewhere, or lets rot; and what should be there instead.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::node::{FileChange, FileNode, Inode, Node, SECTOR_BYTES};
use super::state::State;

/// The sectors of a file that are not what they should be, with what they should be. Kept up to date by later writes.
#[derive(Debug, Clone, Default)]
pub struct Harmed(BTreeMap<u64, Vec<u8>>);

impl Harmed {
    /// Nothing is known to be wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file ends there.
    pub fn cut(&mut self, len: u64) {
        self.0.retain(|at, _| *at < len);
        for (at, right) in &mut self.0 {
            right.truncate((len - at) as usize);
        }
    }

    /// A part of a sector is written: what should be there changes with it.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        if self.0.is_empty() {
            return;
        }
        let sector = at / SECTOR_BYTES * SECTOR_BYTES;
        if let Some(right) = self.0.get_mut(&sector) {
            let from = (at - sector) as usize;
            if right.len() < from + bytes.len() {
                right.resize(from + bytes.len(), 0);
            }
            right[from..from + bytes.len()].copy_from_slice(bytes);
            if from == 0 && bytes.len() as u64 == SECTOR_BYTES {
                self.0.remove(&sector);
            }
        }
    }

    fn add(&mut self, sector: u64, right: Vec<u8>) {
        self.0.entry(sector).or_insert(right);
    }
}

fn sector_of(bytes: &[u8], sector: u64) -> &[u8] {
    let from = (sector as usize).min(bytes.len());
    &bytes[from..(from + SECTOR_BYTES as usize).min(bytes.len())]
}

impl FileNode {
    /// The n-th of the sectors that wait to be written.
    fn waiting_sector(&self, n: u64) -> Option<u64> {
        let sectors = self.pending.iter().filter_map(|p| match &p.change {
            FileChange::Write(at, data) => {
                let (first, last) = (at / SECTOR_BYTES, (at + data.len() as u64 - 1) / SECTOR_BYTES);
                Some((first..=last).map(|n| n * SECTOR_BYTES))
            }
            FileChange::Len(_) => None,
        });
        let all: Vec<u64> = sectors.flatten().collect();
        all.get((n % all.len().max(1) as u64) as usize).copied()
    }

    /// Puts other bytes into a sector. False if that changes nothing.
    fn harm(&mut self, sector: u64, wrong: &[u8]) -> bool {
        let right = sector_of(&self.durable, sector).to_vec();
        let len = right.len().min(wrong.len());
        if right[..len] == wrong[..len] {
            return false;
        }
        self.durable[sector as usize..sector as usize + len].copy_from_slice(&wrong[..len]);
        self.harmed.add(sector, right);
        self.is_apart = true;
        true
    }

    /// The file is restored from a copy: everything is as it should be, also what was read there and waits to be written again.
    fn heal(&mut self) {
        for (sector, right) in std::mem::take(&mut self.harmed).0 {
            let from = (sector as usize).min(self.durable.len());
            let len = right.len().min(self.durable.len() - from);
            for pending in &mut self.pending {
                let FileChange::Write(at, data) = &mut pending.change else { continue };
                let (first, end) = (from.max(*at as usize), (from + len).min(*at as usize + data.len()));
                if first < end {
                    let waits = &mut data[first - *at as usize..end - *at as usize];
                    if *waits == self.durable[first..end] {
                        waits.copy_from_slice(&right[first - from..end - from]);
                    }
                }
            }
            self.durable[from..from + len].copy_from_slice(&right[..len]);
        }
        self.is_apart = true;
        self.evict();
    }

    /// What a sector should have for programs: what should be on disk, and what waits to be written.
    fn right(&self, sector: u64, on_disk: &[u8]) -> Vec<u8> {
        let mut right = on_disk.to_vec();
        right.resize(sector_of(&self.live, sector).len(), 0);
        for pending in &self.pending {
            let FileChange::Write(at, data) = &pending.change else { continue };
            let (from, to) = ((*at).max(sector), (at + data.len() as u64).min(sector + right.len() as u64));
            if from < to {
                let piece = &data[(from - at) as usize..(to - at) as usize];
                right[(from - sector) as usize..(to - sector) as usize].copy_from_slice(piece);
            }
        }
        right
    }

    /// This file takes the name of another: what was copied from a harmed sector of that one, and not mended, is harmed here,
    /// too. What came to harm here as well is told by what it was before.
    pub fn inherit(&mut self, from: &Self) {
        for (sector, on_disk) in &from.harmed.0 {
            let source = sector_of(&from.live, *sector);
            let copied = self.harmed.0.get(sector).map_or_else(|| sector_of(&self.live, *sector), Vec::as_slice);
            let mut right = from.right(*sector, on_disk);
            right.truncate(copied.len());
            let is_from_there = source.len() >= copied.len()
                && copied.iter().zip(source).zip(&right).all(|((b, s), r)| b == s || b == r);
            if right.len() == copied.len() && is_from_there && right != copied {
                self.harmed.0.insert(*sector, right);
            }
        }
    }
}

impl State {
    /// A sync that the device lies about. False if nothing waited that it could lie about.
    pub(super) fn sync_and_lie(&mut self, inode: Inode, lie: Fault) -> bool {
        let (lot, other) = (self.rng.next(), self.rng.next());
        let Some(Node::File(file)) = self.nodes.get_mut(&inode) else { return false };
        let Some(sector) = file.waiting_sector(lot >> 1) else {
            file.sync();
            return false;
        };
        let before = sector_of(&file.durable, sector).to_vec();
        file.sync();
        let written = sector_of(&file.durable, sector).to_vec();
        let mut lied = false;
        if lie != Fault::DuplicatedWrite {
            let mut old = before;
            old.resize(written.len(), 0);
            lied |= file.harm(sector, &old);
            self.is_log_suspect |= lied && self.is_in_log(inode);
        }
        if lie != Fault::LostWrite {
            lied |= self.overwrite_some_other(&written, (inode, sector), other);
        }
        lied
    }

    /// Some sector of the disk is overwritten by what belongs elsewhere.
    fn overwrite_some_other(&mut self, bytes: &[u8], not: (Inode, u64), lot: u64) -> bool {
        let sectors = self.nodes.iter().filter_map(|(inode, node)| match node {
            Node::File(file) => {
                Some((0..file.durable.len() as u64).step_by(SECTOR_BYTES as usize).map(|s| (*inode, s)))
            }
            _ => None,
        });
        let all: Vec<(Inode, u64)> = sectors.flatten().filter(|at| *at != not).collect();
        let Some((inode, sector)) = all.get((lot % all.len().max(1) as u64) as usize) else { return false };
        let Some(Node::File(file)) = self.nodes.get_mut(inode) else { return false };
        let is_harmed = file.harm(*sector, bytes);
        if lot >> 63 == 1 {
            file.evict();
        }
        self.is_log_suspect |= is_harmed && self.is_in_log(*inode);
        is_harmed
    }

    /// A bit of what is about to be read changes on disk. False if it is not there, or is about to be written.
    pub(super) fn rot(&mut self, inode: Inode, offset: u64, len: usize) -> bool {
        let lot = self.rng.next();
        let Some(Node::File(file)) = self.nodes.get_mut(&inode) else { return false };
        let end = (offset + len as u64).min(file.durable.len() as u64);
        if end <= offset || !file.pending.is_empty() {
            return false;
        }
        let at = offset + (lot >> 3) % (end - offset);
        let sector = at / SECTOR_BYTES * SECTOR_BYTES;
        let mut wrong = sector_of(&file.durable, sector).to_vec();
        wrong[(at - sector) as usize] ^= 1 << (lot % 8);
        file.harm(sector, &wrong);
        if let Some(byte) = file.live.get_mut(at as usize) {
            *byte ^= 1 << (lot % 8);
        }
        self.is_log_suspect |= self.is_in_log(inode);
        true
    }

    /// True if a file is not what it should be.
    #[must_use]
    pub fn is_harmed(&self) -> bool {
        self.nodes.values().any(|node| matches!(node, Node::File(file) if !file.harmed.is_empty()))
    }

    /// Every harmed file is restored from a copy.
    pub fn heal(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) if !file.harmed.is_empty() => file.heal(),
                _ => {}
            }
        }
    }
}
