//! Trees, proofs and data model against the published interoperability vectors, and against commits off the network.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{fixture_json, fixture_text, key, read_car};
use backend_api::tree::{
    self, AnyCommit, BlockMap, CommitBlock, Edit, Key, build, common_prefix, covering_nodes, diff,
};
use backend_api::{Cid, cbor};
use data_encoding::BASE64_NOPAD;
use futures::executor::block_on;
use ipld_core::ipld::Ipld;
use serde_json::Value;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

fn texts<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    value[field].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn key_heights() {
    for case in fixture_json("interop/key_heights.json").iter().flat_map(|cases| cases.as_array().unwrap()) {
        let key = text(case, "key");
        assert_eq!(u64::from(tree::layer(key.as_bytes())), case["height"].as_u64().unwrap(), "{key}");
    }
    for line in fixture_text("interop/example_keys.txt").unwrap_or_default().lines() {
        // The second letter of an example key is its layer.
        assert_eq!(key(line).layer().to_string(), line[1..2], "{line}");
    }
}

#[test]
fn common_prefixes() {
    for case in fixture_json("interop/common_prefix.json").iter().flat_map(|cases| cases.as_array().unwrap()) {
        let found = common_prefix(text(case, "left").as_bytes(), text(case, "right").as_bytes());
        assert_eq!(found as u64, case["len"].as_u64().unwrap(), "{case}");
    }
}

#[test]
fn commit_proofs() {
    for case in fixture_json("interop/commit-proof-fixtures.json").iter().flat_map(|cases| cases.as_array().unwrap()) {
        let comment = text(case, "comment");
        let value: Cid = text(case, "leafValue").parse().unwrap();
        let mut records: BTreeMap<Key, Cid> = texts(case, "keys").into_iter().map(|k| (key(k), value)).collect();
        let (before, mut blocks) = build(records.clone());
        assert_eq!(before.to_string(), text(case, "rootBeforeCommit"), "{comment}");

        let (adds, dels) = (texts(case, "adds"), texts(case, "dels"));
        let (edited, added) = block_on(async {
            let mut edit = Edit::new(&blocks, Some(before)).await.unwrap();
            for add in &adds {
                assert_eq!(edit.insert(key(add), value).await.unwrap(), None);
            }
            for del in &dels {
                assert_eq!(edit.remove(del).await.unwrap(), Some(value));
            }
            edit.finish()
        });
        records.extend(adds.iter().map(|add| (key(add), value)));
        records.retain(|key, _| !dels.contains(&key.as_str()));
        let (after, _) = build(records);
        assert_eq!((edited, after.to_string().as_str()), (after, text(case, "rootAfterCommit")), "{comment}");
        blocks.extend(added);

        let touched: Vec<Key> = adds.iter().chain(&dels).map(|k| key(k)).collect();
        let proof = block_on(covering_nodes(&blocks, after, &touched)).unwrap();
        let expected: BTreeSet<Cid> = texts(case, "blocksInProof").iter().map(|cid| cid.parse().unwrap()).collect();
        assert_eq!(proof, expected, "{comment}");
        let least = block_on(diff(&blocks, Some(before), after, usize::MAX)).unwrap().inductive_proof_nodes;
        assert!(proof.is_superset(&least), "{comment}");
    }
}

/// JSON of the AT Protocol data model as IPLD.
fn ipld(json: &Value) -> Ipld {
    match json {
        Value::Null => Ipld::Null,
        Value::Bool(value) => Ipld::Bool(*value),
        Value::Number(number) => Ipld::Integer(number.as_i64().unwrap().into()),
        Value::String(text) => Ipld::String(text.clone()),
        Value::Array(items) => Ipld::List(items.iter().map(ipld).collect()),
        Value::Object(fields) => match (fields.get("$link"), fields.get("$bytes")) {
            (Some(link), _) => Ipld::Link(link.as_str().unwrap().parse().unwrap()),
            (_, Some(bytes)) => Ipld::Bytes(BASE64_NOPAD.decode(bytes.as_str().unwrap().as_bytes()).unwrap()),
            _ => Ipld::Map(fields.iter().map(|(name, value)| (name.clone(), ipld(value))).collect()),
        },
    }
}

#[test]
fn data_model() {
    for case in fixture_json("interop/data-model-fixtures.json").iter().flat_map(|cases| cases.as_array().unwrap()) {
        let expected = BASE64_NOPAD.decode(text(case, "cbor_base64").as_bytes()).unwrap();
        let value = ipld(&case["json"]);
        assert_eq!(cbor::encode(&value).unwrap(), expected);
        assert_eq!(cbor::decode::<Ipld>(&expected).unwrap(), value);
        assert_eq!(Cid::of_block(&expected).to_string(), text(case, "cid"));
        for cut in 0..expected.len() {
            assert!(cbor::check(&expected[..cut]).is_err(), "cut at byte {cut}");
        }
    }
}

#[test]
fn links_of_invalid_data_are_no_cids() {
    let cases = fixture_json("interop/data-model-invalid.json");
    let is_link = |case: &&Value| case["note"].as_str().unwrap().contains("bogus CID");
    for case in cases.iter().flat_map(|cases| cases.as_array().unwrap()).filter(is_link) {
        assert!(text(&case["json"]["lnk"], "$link").parse::<Cid>().is_err());
    }
}

/// Each operation of a real commit is proven by the blocks that came with it.
#[test]
fn commits_off_the_network() {
    for name in ["4621317030", "4621317332", "4621332152", "4623075231"] {
        let Some(event) = fixture_json(&format!("firehose/firehose_commit_{name}.json")) else { return };
        let car = text(&event["blocks"], "$bytes").trim_end_matches('=');
        let (roots, blocks) = read_car(&BASE64_NOPAD.decode(car.as_bytes()).unwrap()).unwrap();
        let blocks: BlockMap = blocks.into_iter().collect();
        assert_eq!(roots, [text(&event["commit"], "$link").parse().unwrap()]);
        let commit = CommitBlock::decode(blocks.get(&roots[0]).unwrap()).unwrap();
        assert_eq!((commit.did.as_str(), commit.rev.to_string().as_str()), (text(&event, "repo"), text(&event, "rev")));
        for op in event["ops"].as_array().unwrap() {
            let found = block_on(tree::get(&blocks, commit.data, text(op, "path"))).unwrap();
            assert_eq!(found.value, op["cid"]["$link"].as_str().map(|cid| cid.parse().unwrap()), "{op}");
            assert!(found.value.is_none_or(|cid| cbor::check(blocks.get(&cid).unwrap()).is_ok()), "{op}");
        }
    }
}

/// The messages of the signature vectors are canonical DAG-CBOR; a commit encodes to the bytes that it came in.
#[test]
fn commits_encode_to_their_own_bytes() {
    for case in fixture_json("interop/signature-fixtures.json").iter().flat_map(|cases| cases.as_array().unwrap()) {
        let message = text(case, "messageBase64").trim_end_matches('=');
        cbor::check(&BASE64_NOPAD.decode(message.as_bytes()).unwrap()).unwrap();
    }
    for (name, version) in [
        ("empty.car", 3),
        ("tiny.car", 3),
        ("little.car", 3),
        ("greenground.repo.car", 3),
        ("fakermaker.repo.car", 2),
        ("paul_staging.repo.car", 2),
    ] {
        let Some(file) = crate::support::fixture(&format!("cars/{name}")) else { return };
        let (roots, blocks) = read_car(&file).unwrap();
        let blocks: BlockMap = blocks.into_iter().collect();
        let block = blocks.get(&roots[0]).unwrap();
        match (AnyCommit::decode(block).unwrap(), version) {
            (AnyCommit::V3(commit), 3) => {
                assert_eq!(commit.encode(), block[..], "{name}");
                assert_eq!(CommitBlock::decode(block).unwrap(), commit);
                let signed = commit.unsigned_bytes();
                cbor::check(&signed).unwrap();
                assert!(signed.len() + 64 < block.len() && CommitBlock::decode(&signed).is_err());
            }
            (AnyCommit::V2(commit), 2) => {
                assert!(commit.rev.is_none() && commit.prev.is_some(), "{name}");
                let refused = CommitBlock::decode(block).unwrap_err();
                assert!(refused.detail().contains("of version 2"), "{refused}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
        for cut in 0..block.len() {
            assert!(AnyCommit::decode(&block[..cut]).is_err());
        }
    }
}
