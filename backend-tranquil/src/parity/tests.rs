//! A file and its sidecar, without a store around them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use backend_api::Reason;

use super::{Cover, Damage, Extent, Piece, Sidecar, Unreadable, damage, found_sound, path_of};
use crate::format::StoreId;
use crate::format::header::{FileKind, Header};
use crate::format::parity::{CHUNK_BYTES, REGION_BYTES, STRIPE_BYTES};
use crate::io::{Disk, File, Map, RealDisk, read_up_to};

const HEADER: Header = Header { kind: FileKind::Log, store: StoreId([7; 16]), number: 1, base: 1, chain: 0 };
const REGION: usize = REGION_BYTES as usize;

/// A file in a directory of its own.
struct Scene {
    _directory: tempfile::TempDir,
    path: PathBuf,
    file: Arc<dyn File>,
    bytes: Vec<u8>,
}

impl Scene {
    /// Random-looking bytes, no two chunks alike, not covered yet.
    fn new(len: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("1.log");
        let mut seed = 1_u64;
        let next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u8
        };
        let mut bytes = HEADER.encode().to_vec();
        bytes.resize_with(len, next);
        let file = RealDisk.create(&path).expect("a file");
        file.write_all_at(&bytes, 0).expect("it is written");
        Self { _directory: directory, path, file, bytes }
    }

    fn cover_of<'a>(&'a self, header: &Header, len: usize, extent: Extent) -> Cover<'a> {
        Cover::new(&RealDisk, &self.path, header, len as u64, extent)
    }

    /// Of a file that is sound.
    fn bring(&self, header: &Header, len: usize, extent: Extent) -> backend_api::Result<(u64, u64)> {
        let cover = self.cover_of(header, len, extent);
        let from = cover.from(0);
        cover.bring(&*self.file, from, &mut found_sound)
    }

    fn cover(&self, len: usize) {
        if !self.cover_of(&HEADER, len, Extent::All).is_done() {
            self.bring(&HEADER, len, Extent::All).expect("it is covered");
        }
        assert!(self.cover_of(&HEADER, len, Extent::All).is_done());
    }

    fn change(&self, at: usize, len: usize) {
        let end = (at + len).min(self.bytes.len());
        let other: Vec<u8> = self.bytes[at..end].iter().map(|b| b ^ 0x40).collect();
        self.file.write_all_at(&other, at as u64).expect("it is written");
    }

    fn restore(&self) {
        self.file.write_all_at(&self.bytes, 0).expect("it is written");
        self.file.set_len(self.bytes.len() as u64).expect("it is cut");
    }

    fn damage_of(&self, file: &dyn File, unreadable: Unreadable) -> backend_api::Result<Damage> {
        let sidecar = Sidecar::open(&RealDisk, &self.path, HEADER.store).expect("a sidecar");
        damage(file, &self.path, &sidecar, unreadable)
    }

    /// What was found again is what stood there; as many bytes.
    fn found(&self, what: &str) -> usize {
        let damage = self.damage_of(&*self.file, Unreadable::Error).expect("it can be read");
        assert!(damage.lost.is_empty(), "{what}: lost {:?}", damage.lost);
        for (at, bytes) in &damage.found {
            assert!(self.bytes[*at as usize..].starts_with(bytes), "{what}: other bytes at {at}");
        }
        damage.found_bytes() as usize
    }
}

#[test]
fn every_flipped_byte_is_found_again() {
    let scene = Scene::new(3 * CHUNK_BYTES + 700);
    scene.cover(scene.bytes.len());
    assert_eq!(scene.found("as it is"), 0);
    for at in 0..scene.bytes.len() {
        scene.change(at, 1);
        let chunk = CHUNK_BYTES.min(scene.bytes.len() - at / CHUNK_BYTES * CHUNK_BYTES);
        assert_eq!(scene.found(&format!("byte {at}")), chunk, "byte {at}");
        scene.file.write_all_at(&scene.bytes[at..=at], at as u64).expect("it is written");
    }
}

#[test]
fn a_burst_is_found_again_in_each_region() {
    let scene = Scene::new(REGION + 3 * STRIPE_BYTES + 5_000);
    scene.cover(scene.bytes.len());
    let longest = STRIPE_BYTES - CHUNK_BYTES + 1;
    for at in [0, 1, CHUNK_BYTES - 1, 17 * CHUNK_BYTES + 5, STRIPE_BYTES - 1, 40 * STRIPE_BYTES + 77] {
        scene.change(at, longest);
        scene.change(REGION + at % (3 * STRIPE_BYTES), 2_000);
        assert!(scene.found(&format!("from {at}")) >= longest, "from {at}");
        scene.restore();
    }
    // Over the border of two regions, twice as long.
    scene.change(REGION - longest, 2 * longest);
    assert!(scene.found("over the border") >= 2 * longest);
    scene.restore();
    scene.file.set_len((scene.bytes.len() - 30_000) as u64).expect("it is cut");
    assert!(scene.found("its end cut off") >= 30_000);
}

#[test]
fn two_of_a_column_are_lost_and_told() {
    let scene = Scene::new(3 * STRIPE_BYTES);
    scene.cover(scene.bytes.len());
    scene.change(CHUNK_BYTES, 1);
    scene.change(CHUNK_BYTES + STRIPE_BYTES, 1);
    scene.change(5 * CHUNK_BYTES, 1);
    let damage = scene.damage_of(&*scene.file, Unreadable::Error).expect("it can be read");
    assert_eq!(damage.lost, [CHUNK_BYTES as u64, (CHUNK_BYTES + STRIPE_BYTES) as u64]);
    assert_eq!(damage.found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5 * CHUNK_BYTES as u64]);
}

#[test]
fn a_sidecar_grows_with_its_file() {
    let scene = Scene::new(REGION + 3 * STRIPE_BYTES);
    for len in [64, 5_000, 5_000, STRIPE_BYTES, REGION - 1, REGION, REGION + 1, scene.bytes.len()] {
        scene.cover(len);
        // As if it had been made at once.
        let grown = RealDisk.open(&path_of(&scene.path)).expect("a sidecar");
        let grown = read_up_to(&*grown, 1 << 20, 0).expect("it can be read");
        super::remove(&RealDisk, &scene.path);
        scene.cover(len);
        let made = RealDisk.open(&path_of(&scene.path)).expect("a sidecar");
        assert!(grown == read_up_to(&*made, 1 << 20, 0).expect("it can be read"), "{len}");
    }
}

/// The sidecar is the other witness: it is not made to agree with what is damaged.
#[test]
fn what_is_damaged_is_not_covered_anew() {
    let scene = Scene::new(2 * STRIPE_BYTES);
    scene.cover(STRIPE_BYTES);
    scene.change(9, 1);
    let error = scene.bring(&HEADER, scene.bytes.len(), Extent::All).expect_err("a refusal");
    assert_eq!(error.reason(), Reason::DataCorrupt);
    assert_eq!(scene.found("still covered"), CHUNK_BYTES);
}

#[test]
fn a_sidecar_of_another_file_or_time_is_made_again() {
    let scene = Scene::new(9_000);
    let other = Header { base: 2, ..HEADER };
    scene.file.write_all_at(&other.encode(), 0).expect("it is written");
    scene.bring(&other, 9_000, Extent::All).expect("it is covered");
    scene.restore();
    assert!(!scene.cover_of(&HEADER, 9_000, Extent::All).is_done());
    scene.cover(9_000);
    // The file was shorter, once.
    scene.cover(8_000);
    scene.cover(9_000);
}

/// A piece is sound as a whole, or nothing of it is covered, however many regions it lies in.
#[test]
fn what_lies_across_a_border_is_covered_when_all_of_it_is_sound() {
    let scene = Scene::new(2 * REGION + 9_000);
    let (first, second) = (64 + REGION / 2, 2 * REGION + 5_000);
    let ends = [first, second, scene.bytes.len()];
    let bring = |len: usize, extent, known| {
        let cover = scene.cover_of(&HEADER, len, extent);
        let from = cover.from(known);
        let mut at = from as usize;
        let mut reads = |bytes: &[u8]| match ends.iter().find(|end| **end > at).map(|end| end - at) {
            None if bytes.is_empty() => Piece::Short(1),
            Some(whole) if bytes.len() < whole => Piece::Short(whole),
            Some(whole) if bytes[..whole] == scene.bytes[at..at + whole] => {
                at += whole;
                Piece::Whole(whole)
            }
            _ => Piece::Bad("other bytes"),
        };
        cover.bring(&*scene.file, from, &mut reads)
    };
    let covered = || Sidecar::open(&RealDisk, &scene.path, HEADER.store).map(|sidecar| sidecar.covered());

    scene.change(second - 1, 1);
    let error = bring(second, Extent::WholeRegions, 0).expect_err("its end is damaged");
    assert_eq!((error.reason(), covered()), (Reason::DataCorrupt, None), "of what begins in the first region, too");
    assert!(error.detail().contains(&format!("offset {first}:")), "{}", error.detail());
    scene.restore();
    assert!(bring(second - 1, Extent::All, 0).is_err(), "it ends within a piece");

    // Where it went beyond the border it is looked at again, as a whole.
    assert_eq!(bring(second, Extent::WholeRegions, 0), Ok((first as u64, 1)));
    assert_eq!(covered(), Some(2 * REGION_BYTES));
    assert!(scene.cover_of(&HEADER, second, Extent::WholeRegions).is_done());
    assert_eq!(bring(ends[2], Extent::All, first as u64), Ok((ends[2] as u64, 2)));
    assert_eq!(covered(), Some(ends[2] as u64));
    // A sidecar that is lost begins with the first piece again, whatever was known.
    super::remove(&RealDisk, &scene.path);
    assert_eq!(bring(ends[2], Extent::All, first as u64), Ok((ends[2] as u64, 3)));
}

/// A disk that cannot read some bytes.
struct BadSectors(Arc<dyn File>, std::ops::Range<u64>);

impl File for BadSectors {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.1.end && self.1.start < offset + buf.len() as u64 {
            return Err(io::Error::other("bad sectors"));
        }
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("it is only read"))
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("it is only read"))
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("it is only read"))
    }
    fn map(&self, _: u64) -> io::Result<Option<Map>> {
        Ok(None)
    }
}

/// An I/O error says nothing about what is stored, unless somebody says that it does.
#[test]
fn what_cannot_be_read_is_damage_only_for_repair() {
    let scene = Scene::new(3 * STRIPE_BYTES);
    scene.cover(scene.bytes.len());
    let bad = BadSectors(Arc::clone(&scene.file), 70_000..71_000);
    assert!(scene.damage_of(&bad, Unreadable::Error).is_err_and(|e| e.reason() == Reason::ReadFailed));
    let damage = scene.damage_of(&bad, Unreadable::Damaged).expect("zeros in its place");
    assert_eq!((damage.found.len(), damage.lost.len()), (1, 0));
    assert_eq!(damage.found[0].1, scene.bytes[17 * CHUNK_BYTES..18 * CHUNK_BYTES]);
}
