//! Reading trees: look-ups, walks, exports, checks; and trees that somebody made to do harm.

use crate::support::{Counting, Numbers, key, records, value};
use backend_api::tree::{
    BlockMap, BlockSource, Checked, Edit, Entry, Key, Node, build, changes, check, diff, get, nodes, walk,
};
use backend_api::{Cid, Codec, Reason, cbor};
use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};

/// A tree whose records are there as well, each of `bytes` bytes and a bit.
fn full_tree(count: u64, bytes: usize) -> (Cid, BlockMap) {
    let mut blocks = BlockMap::new();
    let records: Vec<(Key, Cid)> = records(count)
        .into_iter()
        .enumerate()
        .map(|(n, (key, _))| (key, blocks.put(cbor::encode(&format!("{n}{}", "x".repeat(bytes))).unwrap())))
        .collect();
    let (root, tree) = build(records);
    blocks.extend(tree);
    (root, blocks)
}

#[test]
fn every_key_is_found_and_no_other() {
    let (root, blocks) = build(records(1_000));
    for (key, value) in records(1_000) {
        let found = block_on(get(&blocks, root, key.as_str())).unwrap();
        assert_eq!(found.value, Some(value), "{key}");
        assert_eq!(found.proof[0].0, root);
        // The proof is all that is needed to look it up again.
        let proof: BlockMap = found.proof.clone().into_iter().collect();
        assert_eq!(block_on(get(&proof, root, key.as_str())).unwrap(), found);
    }
    for absent in ["a/a", "app.example.thing/000500x", "zzz/z", "no key", ""] {
        let found = block_on(get(&blocks, root, absent)).unwrap();
        assert_eq!(found.value, None, "{absent}");
        let proof: BlockMap = found.proof.into_iter().collect();
        assert_eq!(block_on(get(&proof, root, absent)).unwrap().value, None);
    }
}

#[test]
fn walks_go_on_after_any_key() {
    let all = records(700);
    let (root, blocks) = build(all.clone());
    let rest = |after: Option<Key>| block_on(walk(&blocks, root, after).into_stream().try_collect::<Vec<_>>()).unwrap();
    assert_eq!(rest(None), all);
    for index in (0..700).step_by(13) {
        assert_eq!(rest(Some(all[index].0.clone())), all[index + 1..]);
        assert_eq!(rest(Some(key(&format!("{}x", all[index].0)))), all[index + 1..]);
    }
    assert_eq!(rest(Some(key("a/a"))), all);
    assert_eq!(rest(Some(key("z/z"))), []);
}

#[test]
fn walks_read_what_they_need_in_batches() {
    let (root, blocks) = build(records(20_000));
    let count = blocks.len();
    let source = Counting::over(blocks);
    let found = block_on(walk(&source, root, None).into_stream().count());
    assert_eq!(found, 20_000);
    let asked = source.take();
    assert_eq!(asked.concat().len(), count, "each node once");
    assert!(asked.iter().all(|batch| batch.len() <= 64));
    assert!(asked.len() < count / 30, "{} calls for {count} nodes", asked.len());

    // From near the end on, only the end is read.
    let mut tail = walk(&source, root, Some(key("app.example.thing/019990")));
    while block_on(tail.next()).unwrap().is_some() {}
    assert!(source.take().concat().len() < 40);
}

/// Follows an export with a stack, as a reader does that holds no blocks: what comes next is always known.
#[test]
fn exports_come_in_preorder() {
    let (root, blocks) = full_tree(3_000, 20);
    let source = Counting::over(blocks.clone());
    let mut expected = vec![(root, true)];
    let mut export = nodes(&source, root);
    let mut count = 0;
    while let Some((cid, block)) = block_on(export.next()).unwrap() {
        let (wanted, is_node) = expected.pop().expect("nothing comes after the end");
        assert_eq!(cid, wanted);
        assert!(cid.matches(&block));
        count += 1;
        if is_node {
            let node = Node::decode(&cid, &block).unwrap();
            for entry in node.entries.iter().rev() {
                expected.extend(entry.right.map(|cid| (cid, true)));
                expected.push((entry.value, false));
            }
            expected.extend(node.left.map(|cid| (cid, true)));
        }
    }
    assert!(expected.is_empty());
    assert_eq!(count, blocks.len());
    let asked = source.take();
    assert_eq!(asked.concat().len(), count, "each block once");
    assert!(asked.len() < count / 30, "{} calls for {count} blocks", asked.len());
}

#[test]
fn exports_of_large_records_read_less_ahead() {
    let (root, blocks) = full_tree(60, 1_000_000);
    let source = Counting::over(blocks.clone());
    let mut export = nodes(&source, root);
    let (mut read_bytes, mut sent_bytes, mut ahead_max) = (0, 0, 0);
    while let Some((_, block)) = block_on(export.next()).unwrap() {
        read_bytes += source.take().concat().iter().map(|cid| blocks.get(cid).unwrap().len()).sum::<usize>();
        sent_bytes += block.len();
        ahead_max = ahead_max.max(read_bytes - (sent_bytes - block.len()));
    }
    assert!(sent_bytes > 60_000_000);
    // 8 MiB, and the batch of nodes and records that was asked for before a record was seen.
    assert!(ahead_max < 30_000_000, "{ahead_max} bytes held");
}

#[test]
fn streams_end_after_an_error() {
    let (root, mut blocks) = full_tree(100, 20);
    let last = records(100).pop().unwrap().0;
    let gone = block_on(get(&blocks, root, last.as_str())).unwrap().value.unwrap();
    blocks.remove(&gone);
    let sent: Vec<_> = block_on(nodes(&blocks, root).into_stream().collect());
    let error = sent.last().unwrap().as_ref().unwrap_err();
    assert_eq!((error.reason(), error.detail().contains(&gone.to_string())), (Reason::BlockMissing, true));
    assert!(sent[..sent.len() - 1].iter().all(Result::is_ok));
}

#[test]
fn check_counts_and_lists_what_is_missing() {
    let (root, blocks) = full_tree(500, 20);
    let found = block_on(check(&blocks, root)).unwrap();
    let bytes = blocks.iter().map(|(_, block)| block.len() as u64).sum();
    let nodes = blocks.len() as u64 - 500;
    assert_eq!(found, Checked { nodes, records: 500, bytes, ..Checked::default() });
    for (cid, _) in blocks.iter() {
        let mut rest = blocks.clone();
        rest.remove(cid);
        let found = block_on(check(&rest, root)).unwrap();
        assert_eq!((found.missing, found.missing_count), (vec![*cid], 1));
    }
    let (empty, nothing) = build([]);
    assert!(block_on(check(&nothing, empty)).unwrap().is_complete());
    assert_eq!(block_on(check(&BlockMap::new(), empty)).unwrap().missing, [empty]);
}

#[test]
fn check_notices_every_flipped_bit() {
    let (root, blocks) = full_tree(12, 5);
    for (cid, block) in blocks.iter() {
        for at in 0..block.len() * 8 {
            let mut damaged = block.to_vec();
            damaged[at / 8] ^= 1 << (at % 8);
            // Not even a node is taken that would encode to other bytes than its own.
            if let Ok(node) = Node::decode(cid, &damaged) {
                assert_eq!(node.encode(), damaged);
            }
            let mut rest = blocks.clone();
            rest.insert(*cid, damaged.into());
            let error = block_on(check(&rest, root)).expect_err("damaged");
            assert_eq!(error.reason(), Reason::HashMismatch);
            assert!(error.detail().contains(&cid.to_string()), "{error}");
        }
    }
}

#[test]
fn noise_is_no_node() {
    let mut numbers = Numbers(5);
    let good: Vec<(Cid, Bytes)> = build(records(40)).1.into_iter().collect();
    for (cid, block) in good.iter().cycle().take(20_000) {
        let mut noise = block.to_vec();
        for _ in 0..1 + numbers.below(4) {
            let at = numbers.below(noise.len() as u64) as usize;
            match numbers.below(3) {
                0 => noise[at] = numbers.next() as u8,
                1 => noise.truncate(at + 1),
                _ => noise.insert(at, numbers.next() as u8),
            }
        }
        if let Ok(node) = Node::decode(cid, &noise) {
            assert_eq!(node.encode(), noise);
        }
    }
}

fn entry(text: &str, right: Option<Cid>) -> Entry {
    Entry { key: key(text), value: value(1), right }
}

fn node(left: Option<Cid>, entries: &[&str]) -> Node {
    Node { left, entries: entries.iter().map(|text| entry(text, None)).collect() }
}

/// Everything that reads the tree refuses it, for this reason and no other.
fn refused(blocks: &BlockMap, root: Cid, why: &str) {
    let ways = [
        block_on(check(blocks, root)).map(drop),
        block_on(walk(blocks, root, None).into_stream().try_for_each(|_| async { Ok(()) })),
        block_on(changes(blocks, None, root, usize::MAX)).map(drop),
        block_on(diff(blocks, None, root, usize::MAX)).map(drop),
    ];
    for way in ways {
        let error = way.expect_err(why);
        assert_eq!(error.reason(), Reason::BadTree, "{error}");
        assert!(error.detail().contains(why), "{error}, not: {why}");
    }
}

/// Keys of the published examples: the digit is the layer.
#[test]
fn trees_in_the_wrong_shape_are_refused() {
    type Above = fn(Cid) -> Node;
    let cases: [(&str, Node, Above); 8] = [
        ("is on layer 0 and holds C1/", node(None, &["C1/438573"]), |below| node(Some(below), &["D1/834852"])),
        ("is empty, and no root", node(None, &[]), |below| node(Some(below), &["D1/834852"])),
        ("root without entries over a subtree", node(None, &["C0/451630"]), |below| node(Some(below), &[])),
        ("layer 0 and has a subtree", node(None, &["A0/374913"]), |below| node(Some(below), &["C0/451630"])),
        ("belong to different layers", node(None, &["A0/374913"]), |below| {
            node(Some(below), &["C0/451630", "D1/834852"])
        }),
        ("stands before D1/", node(None, &["E0/670489"]), |below| node(Some(below), &["D1/834852"])),
        ("stands after D1/", node(None, &["A0/374913"]), |below| Node {
            left: None,
            entries: vec![entry("D1/834852", Some(below))],
        }),
        ("no CID of a repository block", node(None, &[]), |_| Node {
            left: Some(Cid::of(Codec::Raw, b"")),
            entries: vec![entry("D1/834852", None)],
        }),
    ];
    for (why, below, above) in cases {
        let mut blocks = BlockMap::new();
        let below = blocks.put(below.encode());
        let root = blocks.put(above(below).encode());
        refused(&blocks, root, why);
    }
}

/// Bounds hold over several layers, where the keys of the nodes between do not help.
#[test]
fn keys_out_of_order_far_below_are_refused() {
    let mut blocks = BlockMap::new();
    let leaf = blocks.put(node(None, &["E0/670489"]).encode());
    let between = blocks.put(node(Some(leaf), &[]).encode());
    let root = blocks.put(node(Some(between), &["D2/269196"]).encode());
    refused(&blocks, root, "stands before D2/");
}

#[test]
fn entries_that_are_not_canonical_are_refused() {
    let mut blocks = BlockMap::new();
    let entry = |w: &mut cbor::Writer, suffix: &str, shared: u64| {
        w.map(4).text("k").bytes(suffix.as_bytes()).text("p").uint(shared);
        w.text("t").null().text("v").link(&value(1));
    };
    let mut of = |entries: &[(&str, u64)]| {
        let mut w = cbor::Writer::new();
        w.map(2).text("e").array(entries.len());
        entries.iter().for_each(|(suffix, shared)| entry(&mut w, suffix, *shared));
        w.text("l").null();
        blocks.put(w.into_bytes())
    };
    let cases = [
        (of(&[("A0/374913", 0), ("A0/374914", 0)]), "not compressed as far"),
        (of(&[("A0/374913", 0), ("", 9)]), "not after the one before"),
        (of(&[("A0/374913", 0), ("0", 3)]), "not after the one before"),
        (of(&[("A0/374913", 0), ("x", 10)]), "a prefix longer"),
        (of(&[("A0/374913", 3)]), "a prefix longer"),
        (of(&[("A0/374913", 0), ("x", u64::MAX)]), "a prefix longer"),
        (of(&[("no slash", 0)]), "with a slash between"),
        (of(&[("two/of/them", 0)]), "with a slash between"),
        (of(&[("\u{e9}/x", 0)]), "with a slash between"),
        (of(&[(&format!("a/{}", "b".repeat(1023)), 0)]), "longer than 1,024"),
    ];
    for (root, why) in cases {
        refused(&blocks, root, why);
    }
    let extra = blocks.put([node(None, &["A0/374913"]).encode().as_slice(), b"\xf6"].concat());
    refused(&blocks, extra, "1 bytes after the end");
}

/// A source that answers with the wrong blocks can make a circle; a way down still ends, at layer 0.
#[test]
fn circles_end() {
    let mut blocks = BlockMap::new();
    let root = value(77);
    let key_of_layer = |layer| (0..).map(|n| format!("a/{n}")).find(|text| key(text).layer() == layer).unwrap();
    blocks.insert(root, Bytes::from(node(Some(root), &[&key_of_layer(6)]).encode()));
    for error in [
        block_on(walk(&blocks, root, None).next()).map(drop).unwrap_err(),
        block_on(changes(&blocks, None, root, usize::MAX)).map(drop).unwrap_err(),
        block_on(get(&blocks, root, "A/a")).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.reason(), Reason::BadTree, "{error}");
    }
}

#[test]
fn nodes_over_a_bound_are_refused() {
    let cid = value(0);
    let error = Node::decode(&cid, &vec![0; (1 << 20) + 1]).unwrap_err();
    assert_eq!(error.reason(), Reason::TooLarge);
    let mut w = cbor::Writer::new();
    w.map(2).text("e").array(4097).raw(&[0xa0; 5000]);
    let error = Node::decode(&cid, w.as_bytes()).unwrap_err();
    assert!(error.detail().contains("4097 entries"), "{error}");
}

/// A server hands these to tasks that move between threads, over whatever source it has at run time.
#[test]
fn everything_can_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let (root, blocks) = build(records(3));
    let source: &dyn BlockSource = &blocks;
    movable(get(source, root, "a/a"));
    movable(walk(source, root, None).into_stream());
    movable(nodes(source, root).into_stream());
    movable(check(source, root));
    movable(diff(source, None, root, usize::MAX));
    movable(Edit::new(source, Some(root)));
    let found = std::thread::scope(|scope| scope.spawn(|| block_on(check(source, root))).join().unwrap());
    assert_eq!(found.unwrap().missing_count, 3, "the records themselves are not in this tree's blocks");
}
