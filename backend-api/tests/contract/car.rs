//! CAR files: whole ones, damaged ones, hostile ones.

use crate::support::{Numbers, fixture, read_car};
use backend_api::car::{self, CarEvent, CarLimits, CarReader};
use backend_api::tree::{AnyCommit, BlockMap, Checked, CommitBlock, check};
use backend_api::{Cid, Codec, Error, Reason, Result};
use futures::executor::block_on;

/// A file of one root and some blocks.
fn file(blocks: &[&[u8]]) -> Vec<u8> {
    let mut file = car::header(Cid::of_block(blocks.first().unwrap_or(&&b""[..])));
    for block in blocks {
        car::append_block(&mut file, &Cid::of_block(block), block);
    }
    file
}

fn error(file: &[u8]) -> Error {
    read_car(file).expect_err("a damaged file")
}

#[test]
fn every_fixture_is_read_whole() {
    for (name, count, different) in [
        ("empty.car", 2, 2),
        ("tiny.car", 12, 12),
        ("little.car", 375, 375),
        ("fakermaker.repo.car", 690, 682),
        ("paul_staging.repo.car", 458, 452),
        ("greenground.repo.car", 4, 4),
        ("repo_slice.car", 5, 5),
    ] {
        let Some(file) = fixture(&format!("cars/{name}")) else { return };
        let (roots, blocks) = read_car(&file).unwrap();
        assert_eq!((roots.len(), blocks.len()), (1, count), "{name}");

        // Written again it is the same file, repeated blocks and all.
        let mut again = car::header(roots[0]);
        for (cid, block) in &blocks {
            let before = again.len();
            car::append_block(&mut again, cid, block);
            assert_eq!(again.len() - before, car::block_size(block.len()));
        }
        assert!(again == file, "{name}");

        let blocks: BlockMap = blocks.into_iter().collect();
        assert_eq!(blocks.len(), different, "{name}");
        let data = match AnyCommit::decode(blocks.get(&roots[0]).unwrap()).unwrap() {
            AnyCommit::V3(commit) => commit.data,
            AnyCommit::V2(commit) => commit.data,
        };
        let found = block_on(check(&blocks, data)).unwrap();
        assert_eq!(found.is_complete(), name != "repo_slice.car", "{name}: {found:?}");
    }
}

#[test]
fn pieces_of_any_size_give_the_same_events() {
    let Some(file) = fixture("cars/tiny.car") else { return };
    let events = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut reader, mut events) = (CarReader::new(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            while let Some(event) = reader.next().unwrap() {
                events.push(event);
            }
        }
        reader.finish().unwrap();
        events
    };
    let whole = events(&mut [&file[..]].into_iter());
    assert_eq!(whole.len(), 13);
    for size in [1, 2, 3, 59, 60, 61, 1000] {
        assert_eq!(events(&mut file.chunks(size)), whole, "pieces of {size}");
    }
    // Where a block says that it starts, it starts.
    for event in &whole[1..] {
        let CarEvent::Block { cid, bytes, offset } = event else { panic!("{event:?}") };
        let mut entry = Vec::new();
        car::append_block(&mut entry, cid, bytes);
        assert_eq!(file[*offset as usize..][..entry.len()], entry);
    }
}

/// What a repository file holds, if nothing is wrong with it.
fn load(file: &[u8]) -> Result<Checked> {
    let (roots, blocks) = read_car(file)?;
    let blocks: BlockMap = blocks.into_iter().collect();
    let [root] = roots[..] else { return Err(Error::new(Reason::BadCar, "not one root")) };
    let commit = blocks.get(&root).ok_or_else(|| Error::new(Reason::BlockMissing, root.to_string()))?;
    let data = CommitBlock::decode(commit)?.data;
    match block_on(check(&blocks, data))? {
        found if found.is_complete() => Ok(found),
        found => Err(Error::new(Reason::BlockMissing, format!("{:?}", found.missing))),
    }
}

#[test]
fn a_file_cut_anywhere_is_noticed() {
    let Some(file) = fixture("cars/tiny.car") else { return };
    load(&file).unwrap();
    let mut between_blocks = 0;
    for cut in 0..file.len() {
        let error = load(&file[..cut]).expect_err("cut off");
        match error.reason() {
            Reason::BadCar => {}
            // Between two blocks the file looks whole; its tree does not.
            Reason::BlockMissing => between_blocks += 1,
            _ => panic!("cut at byte {cut}: {error}"),
        }
    }
    assert_eq!(between_blocks, 12);
}

#[test]
fn a_bit_flipped_anywhere_is_noticed() {
    let Some(mut file) = fixture("cars/tiny.car") else { return };
    for at in 0..file.len() {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            let error = load(&file).expect_err("damaged");
            let known = [Reason::BadCar, Reason::BadCid, Reason::HashMismatch, Reason::TooLarge, Reason::BlockMissing];
            assert!(known.contains(&error.reason()), "byte {at}, bit {bit}: {error}");
            file[at] ^= 1 << bit;
        }
    }
    load(&file).unwrap();
}

#[test]
fn noise_is_refused_without_panic() {
    let mut numbers = Numbers(3);
    let good = file(&[b"\xa0", b"\x80"]);
    let header = &good[..59];
    for _ in 0..20_000 {
        let noise: Vec<u8> = (0..numbers.below(80)).map(|_| numbers.next() as u8).collect();
        if !noise.is_empty() {
            assert!(read_car(&noise).is_err());
            assert!(read_car(&[header, &noise].concat()).is_err());
        }
    }
}

#[test]
fn errors_name_the_offset() {
    let good = file(&[b"\xa0", b"\x80", b"\xf6"]);
    let header = car::header(Cid::of_block(b"\xa0")).len();
    let second = header + car::block_size(1);

    let mut bad_byte = good.clone();
    bad_byte[second + 37] ^= 1;
    let mismatch = error(&bad_byte);
    assert_eq!(mismatch.reason(), Reason::HashMismatch);
    assert!(mismatch.detail().starts_with(&format!("byte {second} of the CAR file")), "{mismatch}");

    let mut bad_cid = good.clone();
    bad_cid[second + 2] = 0x70;
    let mismatch = error(&bad_cid);
    assert_eq!(mismatch.reason(), Reason::BadCid);
    assert!(mismatch.detail().starts_with(&format!("byte {second} of the CAR file")), "{mismatch}");

    let cut = error(&good[..good.len() - 1]);
    assert!(cut.detail().contains(&format!("byte {}", second + car::block_size(1))), "{cut}");
    assert!(error(&good[..10]).detail().contains("within its header"));
    assert!(error(b"").detail().contains("within its header"));
}

#[test]
fn lengths_are_bounded_and_short() {
    let header = car::header(Cid::of_block(b"\xa0"));
    let with = |tail: &[u8]| error(&[&header, tail].concat());
    let over = with(&[0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(over.reason(), Reason::TooLarge);
    assert!(over.detail().contains("268435455") && over.detail().contains("2097188"), "{over}");
    assert!(with(&[0xa5, 0x80, 0x00]).detail().contains("shortest"));
    assert!(with(&[0xff; 10]).detail().contains("does not end"));
    assert!(with(&[0x00]).detail().contains("length 0"));
    assert!(with(&[0x02, 1, 2]).detail().contains("no room for a CID"));
    assert_eq!(error(&[0x81, 0x20]).reason(), Reason::TooLarge, "a header of 4,097 bytes");

    let limits = CarLimits { block_bytes_max: 10, ..CarLimits::default() };
    for (len, fits) in [(10, true), (11, false)] {
        let mut reader = CarReader::with_limits(limits);
        reader.push(&file(&[&vec![0x60; len]]));
        assert!(matches!(reader.next(), Ok(Some(CarEvent::Header { .. }))));
        assert_eq!(reader.next().is_ok(), fits, "{len} bytes");
    }
}

#[test]
fn headers_of_another_form_are_refused() {
    let header = |body: &[u8]| [&[body.len() as u8][..], body].concat();
    let (version, root) = (b"gversion", car::header(Cid::of_block(b""))[8..50].to_vec());
    let v2 = [&b"\xa2eroots"[..], &root, version, &[2]].concat();
    assert!(error(&header(&v2)).detail().contains("version 2"));
    let order = [b"\xa2", &version[..], &[1], b"eroots", &root].concat();
    assert!(error(&header(&order)).detail().contains("the key \"roots\""));
    assert!(error(&header(b"\xa1eroots\x80")).detail().contains("not a map of roots and version"));
    assert!(error(&header(b"\xa2eroots\x9b\xff\xff\xff\xff\xff\xff\xff\xff")).detail().contains("announced"));
    // No roots at all is a CAR file; whether it is of use is not for the reader to say.
    assert_eq!(read_car(&header(b"\xa2eroots\x80gversion\x01")).unwrap(), (vec![], vec![]));
}

#[test]
fn raw_blocks_and_repeated_blocks_are_taken() {
    let mut with_raw = file(&[b"\xa0", b"\xa0"]);
    let raw = Cid::of(Codec::Raw, b"any bytes");
    car::append_block(&mut with_raw, &raw, b"any bytes");
    let (_, blocks) = read_car(&with_raw).unwrap();
    assert_eq!(blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>()[1..], [Cid::of_block(b"\xa0"), raw]);
}

#[test]
fn after_a_fault_nothing_more_is_read() {
    let mut bad = file(&[b"\xa0"]);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let mut reader = CarReader::new();
    reader.push(&bad);
    reader.next().unwrap();
    let fault = reader.next().unwrap_err();
    reader.push(&file(&[b"\xa0"]));
    assert_eq!(reader.next().unwrap_err(), fault);
    assert_eq!(reader.finish().unwrap_err(), fault);
}
