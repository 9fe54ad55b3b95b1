//! Differences between trees: the published cases, and what a difference may cost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::support::{Counting, Numbers, fixture, key, read_car, records, value};
use backend_api::tree::{BlockMap, BlockSource, Diff, Edit, Key, RecordOp, build, changes, covering_nodes, diff, walk};
use backend_api::{Cid, Reason};
use futures::executor::block_on;

const NO_LIMIT: usize = usize::MAX;

/// The 128 trees: their roots, and the nodes of all.
fn trees() -> Option<(Vec<Cid>, BlockMap)> {
    let (mut roots, mut blocks) = (Vec::new(), BlockMap::new());
    for number in 0..128 {
        let (root, nodes) = read_car(&fixture(&format!("mst-diff/trees/exhaustive_{number:03}.car"))?).unwrap();
        roots.extend(root);
        blocks.extend(nodes);
    }
    assert_eq!(roots.len(), 128);
    Some((roots, blocks))
}

fn cases() -> Option<Vec<serde_json::Value>> {
    let packed = fixture("mst-diff/diffs.jsonl.gz")?;
    let mut lines = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut lines).unwrap();
    let cases: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), 8192);
    Some(cases)
}

fn cids(case: &serde_json::Value, field: &str) -> BTreeSet<Cid> {
    case[field].as_array().unwrap().iter().map(|cid| cid.as_str().unwrap().parse().unwrap()).collect()
}

fn ops(case: &serde_json::Value) -> Vec<RecordOp> {
    let cid = |value: &serde_json::Value| value.as_str().map(|cid| cid.parse().unwrap());
    let op = |op: &serde_json::Value| RecordOp {
        path: key(op["rpath"].as_str().unwrap()),
        old: cid(&op["old_value"]),
        new: cid(&op["new_value"]),
    };
    case["record_ops"].as_array().unwrap().iter().map(op).collect()
}

/// Undoes `ops` on the tree `new`, with no more than `proof` of its nodes.
fn undo(blocks: &BlockMap, proof: &BTreeSet<Cid>, new: Cid, ops: &[RecordOp]) -> Cid {
    let shown: BlockMap = proof.iter().map(|cid| (*cid, blocks.get(cid).unwrap().clone())).collect();
    block_on(async {
        let mut edit = Edit::new(&shown, Some(new)).await.unwrap();
        for op in ops.iter().rev() {
            let undone = match op.old {
                Some(value) => edit.insert(op.path.clone(), value).await.unwrap(),
                None => edit.remove(op.path.as_str()).await.unwrap(),
            };
            assert_eq!(undone, op.new, "{}", op.path);
        }
        edit.finish().0
    })
}

#[test]
fn mst_diff_all_8192_cases() {
    let (Some((roots, blocks)), Some(cases)) = (trees(), cases()) else { return };
    for case in &cases {
        let (a, b) = (case["a"].as_u64().unwrap() as usize, case["b"].as_u64().unwrap() as usize);
        let found = block_on(diff(&blocks, Some(roots[a]), roots[b], NO_LIMIT)).unwrap();
        let expected = Diff {
            created_nodes: cids(case, "created_nodes").into_iter().collect(),
            deleted_nodes: cids(case, "deleted_nodes").into_iter().collect(),
            record_ops: ops(case),
            proof_nodes: cids(case, "proof_nodes"),
            inductive_proof_nodes: cids(case, "inductive_proof_nodes"),
        };
        assert_eq!(found, expected, "from tree {a} to tree {b}");
    }
}

#[test]
fn mst_diff_proofs_suffice_to_go_back() {
    let (Some((roots, blocks)), Some(cases)) = (trees(), cases()) else { return };
    for case in cases.iter().filter(|case| case["a"] != case["b"]) {
        let (a, b) = (case["a"].as_u64().unwrap() as usize, case["b"].as_u64().unwrap() as usize);
        let (ops, inductive) = (ops(case), cids(case, "inductive_proof_nodes"));
        assert_eq!(undo(&blocks, &inductive, roots[b], &ops), roots[a], "from tree {b} back to tree {a}");
        let covering = block_on(covering_nodes(&blocks, roots[b], ops.iter().map(|op| &op.path))).unwrap();
        assert!(covering.is_superset(&inductive), "from tree {a} to tree {b}");
        assert!(covering.is_superset(&cids(case, "proof_nodes")), "from tree {a} to tree {b}");
    }
}

#[test]
fn mst_diff_from_nothing_is_the_whole_tree() {
    let (root, blocks) = build(records(500));
    let found = block_on(diff(&blocks, None, root, NO_LIMIT)).unwrap();
    assert_eq!(found.created_nodes, blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
    assert!(found.deleted_nodes.is_empty());
    let created: Vec<_> = found.record_ops.iter().map(|op| (op.path.clone(), op.new.unwrap())).collect();
    assert_eq!(created, records(500));
    assert!(found.record_ops.iter().all(|op| op.old.is_none()));
}

/// Random trees and random changes, updates too, against a comparison of the two lists of records.
#[test]
fn mst_diff_is_what_comparing_everything_finds() {
    let mut numbers = Numbers(7);
    for round in 0..150 {
        let mut old: BTreeMap<Key, Cid> = records(numbers.below(400)).into_iter().collect();
        old.retain(|_, _| numbers.below(3) > 0);
        let mut new = old.clone();
        for _ in 0..numbers.below(12) {
            let key = key(&format!("app.example.thing/{:06}", numbers.below(420)));
            match numbers.below(3) {
                0 => new.remove(&key),
                _ => new.insert(key, value(numbers.next())),
            };
        }
        let (old_root, mut blocks) = build(old.clone());
        let (new_root, new_blocks) = build(new.clone());
        let (old_nodes, new_nodes) = (nodes(&blocks), nodes(&new_blocks));
        blocks.extend(new_blocks);

        let found = block_on(diff(&blocks, Some(old_root), new_root, NO_LIMIT)).unwrap();
        let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).filter(|key| old.get(key) != new.get(key)).collect();
        let op = |path: &Key| RecordOp { path: path.clone(), old: old.get(path).copied(), new: new.get(path).copied() };
        assert_eq!(found.record_ops, keys.into_iter().map(op).collect::<Vec<_>>(), "round {round}");
        assert_eq!(found.created_nodes, new_nodes.difference(&old_nodes).copied().collect::<Vec<_>>());
        assert_eq!(found.deleted_nodes, old_nodes.difference(&new_nodes).copied().collect::<Vec<_>>());
        if !found.record_ops.is_empty() {
            assert_eq!(undo(&blocks, &found.inductive_proof_nodes, new_root, &found.record_ops), old_root);
        }
    }
}

fn nodes(blocks: &BlockMap) -> BTreeSet<Cid> {
    blocks.iter().map(|(cid, _)| *cid).collect()
}

/// One record of 50,000: the reads are the changed nodes, in one batch for each layer.
#[test]
fn mst_diff_costs_what_changed() {
    let (old, blocks) = build(records(50_000));
    let (new, added) = block_on(async {
        let mut edit = Edit::new(&blocks, Some(old)).await.unwrap();
        edit.insert(key("app.example.thing/025000x"), value(1)).await.unwrap();
        edit.finish()
    });
    let mut all = blocks;
    all.extend(added.clone());
    let source = Counting::over(all);

    let found = block_on(changes(&source, Some(old), new, NO_LIMIT)).unwrap();
    let asked = source.take();
    let (reads, differing) = (asked.concat(), found.created_nodes.len() + found.deleted_nodes.len());
    assert_eq!(found.record_ops.len(), 1);
    assert_eq!(found.created_nodes, added.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
    assert_eq!(reads.len(), differing, "each node that differs is read once, and no other");
    assert!(differing < 40, "{differing} nodes for one record");
    assert!(asked.len() <= 2 + 10, "{} calls: two for the roots, then one a layer", asked.len());

    // With proofs: what is read on top are neighbours, not subtrees.
    let proven = block_on(diff(&source, Some(old), new, NO_LIMIT)).unwrap();
    let more: BTreeSet<Cid> = proven.inductive_proof_nodes.difference(&nodes(&added)).copied().collect();
    assert_eq!(source.take().concat().len(), differing + more.len());
}

#[test]
fn mst_diff_of_equal_trees_reads_nothing() {
    let (root, blocks) = build(records(100));
    let source = Counting::over(blocks);
    assert_eq!(block_on(diff(&source, Some(root), root, NO_LIMIT)).unwrap(), Diff::default());
    assert!(source.take().is_empty());
}

#[test]
fn mst_diff_stops_at_its_bound() {
    let (old, mut blocks) = build(records(2_000));
    let (new, more) = build(records(3_000).split_off(1_000));
    blocks.extend(more);
    let error = block_on(changes(&blocks, Some(old), new, 100)).unwrap_err();
    assert_eq!(error.reason(), Reason::TooLarge);
}

#[test]
fn mst_diff_names_the_missing_node() {
    let (old, mut blocks) = build(records(300));
    let (new, more) = build(records(301));
    blocks.extend(more);
    let found = block_on(changes(&blocks, Some(old), new, NO_LIMIT)).unwrap();
    for gone in found.created_nodes.iter().chain(&found.deleted_nodes) {
        let mut rest = blocks.clone();
        rest.remove(gone);
        let error = block_on(changes(&rest, Some(old), new, NO_LIMIT)).unwrap_err();
        assert_eq!(error.reason(), Reason::BlockMissing);
        assert!(error.detail().contains(&gone.to_string()), "{error}");
    }
}

/// Changes made by [`Edit`] one after the other lead to the tree that is built at once.
#[test]
fn mst_diff_edits_lead_to_the_canonical_tree() {
    let mut numbers = Numbers(11);
    let mut expected: BTreeMap<Key, Cid> = BTreeMap::new();
    let (mut root, mut blocks) = build([]);
    for _ in 0..60 {
        let changes: Vec<(Key, Option<Cid>)> = (0..1 + numbers.below(30))
            .map(|_| {
                let key = key(&format!("app.example.thing/{:03}", numbers.below(150)));
                (key, (numbers.below(5) > 1).then(|| value(numbers.next())))
            })
            .collect();
        let (edited, added) = block_on(async {
            let mut edit = Edit::new(&blocks, Some(root)).await.unwrap();
            for (key, new) in changes {
                let (found, before) = match new {
                    Some(new) => (edit.insert(key.clone(), new).await.unwrap(), expected.insert(key, new)),
                    None => (edit.remove(key.as_str()).await.unwrap(), expected.remove(&key)),
                };
                assert_eq!(found, before);
            }
            edit.finish()
        });
        assert_eq!(edited, build(expected.clone()).0);
        blocks.extend(added);
        root = edited;
        assert_eq!(block_on(walked(&blocks, root)), expected);
    }
    let emptied = block_on(async {
        let mut edit = Edit::new(&blocks, Some(root)).await.unwrap();
        for key in expected.keys() {
            edit.remove(key.as_str()).await.unwrap();
        }
        edit.finish().0
    });
    assert_eq!(emptied, build([]).0);
}

async fn walked(source: impl BlockSource, root: Cid) -> BTreeMap<Key, Cid> {
    let mut walk = walk(source, root, None);
    let mut found = BTreeMap::new();
    while let Some((key, cid)) = walk.next().await.unwrap() {
        assert!(found.insert(key, cid).is_none());
    }
    found
}
