//! The fuzz targets without a fuzzer: what is kept in their corpora, seeds, and their mutations, always the same ones.

#[path = "../../fuzz/mutate.rs"]
mod mutate;
#[path = "../../fuzz/decoders.rs"]
mod properties;

use std::path::Path;

use crate::support::Numbers;
use backend_api::car;
use backend_api::tree::{CommitBlock, Key, build};
use backend_api::{Checked, Cid, Mutation, Op, Tid};
use mutate::mutated;
use properties::DECODERS;

const MUTATIONS: usize = 40_000;

/// Well-formed inputs of every sort: each decoder gets all of them.
fn seeds() -> Vec<Vec<u8>> {
    let records = (0..40).map(|i| {
        let key = Key::parse(&format!("com.example.note/{i:03}")).expect("a key");
        (key, Cid::of_block(&[i]))
    });
    let (data, blocks) = build(records);
    let did: backend_api::Did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().expect("a DID");
    let rev = Tid::new(1_700_000_000_000_000, 3);
    let commit = CommitBlock { did: did.clone(), version: 3, data, rev, prev: None, sig: vec![7; 64] }.encode();
    let mut file = car::header(data);
    for (cid, block) in blocks.iter() {
        car::append_block(&mut file, cid, block);
    }
    let ops =
        vec![Op::DeleteAccount, Op::Purge, Op::DeleteBlob(data), Op::AbandonImport { import: backend_api::RepoId(7) }];
    let mutation = Mutation { did, key: backend_api::IdempotencyKey([1; 16]), ops, blocks: Vec::new() };
    let checked = Checked::new(mutation).expect("well-formed operations");
    let mut seeds: Vec<Vec<u8>> = blocks.iter().map(|(_, block)| block.to_vec()).collect();
    seeds.extend([file, commit, checked.encoded_ops().to_vec(), data.to_bytes().to_vec()]);
    let texts =
        ["did:web:example.com%3A8080", "alice.test", "app.bsky.feed.post", "app.bsky.feed.post/3jzfcijpj2z2a", "self"];
    seeds.extend(texts.map(|text| text.as_bytes().to_vec()));
    seeds.push(data.to_string().into_bytes());
    seeds.push("a@example.com".into());
    seeds
}

#[test]
fn no_bytes_make_a_decoder_panic_or_lie() {
    let seeds = seeds();
    for (name, decoder) in DECODERS {
        println!("{name}");
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        for file in std::fs::read_dir(&kept).into_iter().flatten() {
            let path = file.expect("a folder can be read").path();
            decoder(&std::fs::read(path).expect("the corpus can be read"));
        }
        seeds.iter().for_each(|seed| decoder(seed));
        let mut numbers = Numbers(0x5eed);
        for _ in 0..MUTATIONS {
            decoder(&mutated(&mut || numbers.next(), &seeds));
        }
    }
}
