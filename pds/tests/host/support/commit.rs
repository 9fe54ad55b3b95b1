use backend_api::tree::{Edit, Key};
use backend_api::{Cid, Codec};
use futures::executor::block_on;
use jacquard_common::types::crypto::PublicKey;
use jacquard_repo::commit::firehose::{FirehoseCommit, validate_v1_1};
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};
use serde_json::Value;

use super::Frame;

/// The signing key of a DID document.
pub fn public_key(document: &Value) -> PublicKey<'static> {
    let method = &document["verificationMethod"][0];
    assert_eq!(method["id"].as_str().unwrap(), format!("{}#atproto", document["id"].as_str().unwrap()));
    PublicKey::decode_owned(method["publicKeyMultibase"].as_str().unwrap()).unwrap()
}

/// Checks a `#commit` frame as a consumer does that knows nothing but the key: the signature, that the operations lead
/// from `prevData` to the new tree, twice over, with jacquard's tree and with ours, and that everything is there.
pub async fn check_commit(frame: &Frame, key: &PublicKey<'_>) {
    assert_eq!(frame.kind, "#commit");
    let car = frame.car();
    let commit = car.commit();
    assert_eq!(Some(car.root()), frame.cid("commit"));
    assert_eq!(commit.did.as_str(), frame.text("repo"));
    assert_eq!(commit.rev.to_string(), frame.text("rev"));
    let signature = Signature::from_slice(&commit.sig).unwrap();
    assert!(signature.normalize_s().is_none(), "a signature with a high s");
    VerifyingKey::from(key.to_k256().unwrap()).verify(&commit.unsigned_bytes(), &signature).unwrap();

    let Some(prev_data) = frame.cid("prevData") else {
        assert!(frame.ops().is_empty(), "only a first commit has no tree before it");
        return;
    };
    for (_, path, cid, _) in frame.ops() {
        assert!(cid.is_none_or(|cid| car.blocks.get(&cid).is_some()), "the record {path} is carried");
    }
    for forward in [true, false] {
        assert_eq!(undo(frame, commit.data, forward), prev_data, "the operations taken back, forward: {forward}");
    }
    let body = &frame.bytes[header_len(frame)..];
    let message: FirehoseCommit<String> = serde_ipld_dagcbor::from_slice(body).unwrap();
    let root = validate_v1_1(&message, key).await.unwrap();
    assert_eq!(Cid::from_bytes(&root.to_bytes()).unwrap(), commit.data);
    assert_eq!(commit.data.codec(), Codec::DagCbor);
}

fn undo(frame: &Frame, data: Cid, forward: bool) -> Cid {
    let mut ops = frame.ops();
    if !forward {
        ops.reverse();
    }
    block_on(async {
        let blocks = frame.car().blocks;
        let mut edit = Edit::new(&blocks, Some(data)).await.unwrap();
        for (action, path, cid, prev) in ops {
            let undone = match prev {
                Some(prev) => edit.insert(Key::parse(&path).unwrap(), prev).await.unwrap(),
                None => edit.remove(&path).await.unwrap(),
            };
            assert_eq!(undone, cid, "{action} {path}");
        }
        edit.finish().0
    })
}

fn header_len(frame: &Frame) -> usize {
    let mut reader = backend_api::cbor::Reader::new(&frame.bytes);
    reader.map().unwrap();
    reader.text().unwrap();
    reader.text().unwrap();
    reader.text().unwrap();
    reader.uint().unwrap();
    reader.offset()
}
