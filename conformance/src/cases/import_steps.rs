//! Imports, step by step: what each needs, what is seen of it, and what becomes of it when the store is closed in between.

use super::imports::{begin, fill, finish, foreign, state_is, steps};
use super::prelude::*;
use super::repos::query;

fn bring(cx: &Context, import: RepoId, repo: &SceneRepo, blocks: Vec<Block>) -> Mutation {
    cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], blocks)
}

/// The store is closed and opened after every step.
pub(crate) async fn import_steps_go_on_after_a_reopen(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 20, "new");
    let import = begin(&cx, &repo.did).await?;
    cx.reopen().await;
    for some in other.blocks().chunks(9) {
        cx.db().apply(bring(&cx, import, &other, some.to_vec())).await?;
        cx.reopen().await;
    }
    for step in steps(import, &other, 9) {
        cx.apply(&repo.did, vec![step]).await?;
        cx.reopen().await;
    }
    state_is(&cx, &repo).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    cx.reopen().await;
    state_is(&cx, &other).await
}

/// Begun, filled and finished in one mutation: the generation is named by the position that it will have.
pub(crate) async fn import_steps_fit_into_one_mutation(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 12, "new");
    let import = RepoId(cx.db().position().await?.0 + 1);
    let mut all = finish(&cx, import, &other, repo.head);
    let tree = steps(import, &other, 1_000);
    let [Op::ImportTree(nodes), Op::ImportTree(records)] = tree.as_slice() else { unreachable!("two steps") };
    let whole = ImportTree { records: records.records.clone(), ..nodes.clone() };
    let last = all.ops.remove(0);
    all.ops = vec![Op::BeginImport, Op::ImportBlocks { import }, Op::ImportTree(whole), last];
    all.blocks.extend(other.blocks());
    cx.db().apply(all).await?;
    cx.reopen().await;
    state_is(&cx, &other).await
}

/// A file may hold a block twice: brought twice, before and after it was reached, it counts what the tree counts.
pub(crate) async fn import_steps_may_bring_a_block_twice(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 15, "new");
    let import = begin(&cx, &repo.did).await?;
    for _ in 0..2 {
        cx.db().apply(bring(&cx, import, &other, other.blocks())).await?;
    }
    for step in steps(import, &other, 4) {
        cx.apply(&repo.did, vec![step]).await?;
        cx.db().apply(bring(&cx, import, &other, other.blocks())).await?;
    }
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    let expected = other.recount();
    let cids: Vec<Cid> = expected.keys().copied().collect();
    let refs = cx.db().block_refs(&repo.did, &cids, Blocks::Live).await?;
    assert!(expected.values().zip(refs).all(|(expected, found)| found.is_some_and(|found| found.refs == *expected)));
    state_is(&cx, &other).await
}

/// A tree without a record is a repo.
pub(crate) async fn import_steps_of_an_empty_tree(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("old"))]).await?;
    let other = foreign(&repo, 0, "none");
    let import = begin(&cx, &repo.did).await?;
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::ImportIncomplete).await?;
    fill(&cx, import, &other).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    assert!(cx.db().collections(&repo.did).await?.is_empty());
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((state.counters.records, state.counters.refs), (0, 2), "the root and the commit");
    Ok(())
}

/// Links and uses of blobs of the new records are found from the end of the import on, those of the old until then.
pub(crate) async fn import_steps_show_no_index_until_the_end(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let target = link("subject", "did:plc:bob");
    let noted = |text: &str, blob: &str| content(text).with_link(target.clone()).with_blob(blob_cid(blob));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/old"), noted("old", "old"))]).await?;
    let mut other = foreign(&repo, 2, "new");
    other.records.insert(path("com.example.note/new"), noted("new", "new"));
    other.records.insert(path("com.example.like/new"), noted("like", "new"));
    other.sign(b"imported", Tid::from_u64(u64::MAX / 2));
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    let read = async || {
        let linking = cx.db().linking(&repo.did, &nsid("com.example.note"), &target, 10).await?;
        let old = cx.db().blob_uses(&repo.did, &blob_cid("old"), 10).await?.len();
        let new = cx.db().blob_uses(&repo.did, &blob_cid("new"), 10).await?.len();
        let missing = cx.db().blobs_missing(&repo.did, None, 10).await?.items;
        let collections = cx.db().collections(&repo.did).await?.len();
        answer((linking, old, new, missing.into_iter().map(|missing| missing.cid).collect::<Vec<_>>(), collections))
    };
    assert_eq!(read().await?, (vec![path("com.example.note/old")], 1, 0, vec![blob_cid("old")], 1));
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    assert_eq!(read().await?, (vec![path("com.example.note/new")], 0, 2, vec![blob_cid("new")], 2));
    Ok(())
}

/// Figures are those of what is served.
pub(crate) async fn import_steps_count_for_nothing_until_the_end(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("old"))]).await?;
    let figures = async || {
        let stats = cx.db().stats().await?;
        let counters = cx.db().repo(&repo.did, At::Head).await?.expect("a repo").counters;
        assert_eq!((stats.records, stats.refs, stats.bytes), (counters.records, counters.refs, counters.bytes));
        answer((stats.repos, counters.records))
    };
    let other = foreign(&repo, 30, "new");
    let import = begin(&cx, &repo.did).await?;
    assert_eq!(figures().await?, (1, 1));
    fill(&cx, import, &other).await?;
    assert_eq!(figures().await?, (1, 1));
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    assert_eq!(figures().await?, (1, 30));
    let bob = cx.account("bob").await?;
    begin(&cx, &bob).await?;
    assert_eq!(figures().await?, (1, 30), "an account with an import only has no repo");
    assert_eq!(cx.db().repos(None, 10).await?.items.len(), 1);
    Ok(())
}

/// The count of records that the end announces is held to in both directions.
pub(crate) async fn import_steps_end_with_the_right_count(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 10, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    let right = finish(&cx, import, &other, repo.head);
    for count in [0, 9, 11, u64::MAX] {
        let mut wrong = Mutation { key: cx.key(), ..right.clone() };
        let Op::FinishImport(last) = &mut wrong.ops[0] else { unreachable!("the end of an import") };
        last.records = count;
        cx.mutation_refused(wrong, Reason::ImportIncomplete).await?;
    }
    cx.db().apply(right).await?;
    Ok(())
}

/// A root that is a node of the tree, but was brought and not reached, is none; nor is a record.
pub(crate) async fn import_steps_end_with_a_root_that_was_reached(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 10, "new");
    let import = begin(&cx, &repo.did).await?;
    cx.db().apply(bring(&cx, import, &other, other.blocks())).await?;
    let all = steps(import, &other, 1_000);
    let Op::ImportTree(nodes) = &all[0] else { unreachable!("a step of nodes") };
    let but_root = nodes.nodes.iter().copied().filter(|cid| Some(*cid) != other.data).collect();
    cx.apply(&repo.did, vec![Op::ImportTree(ImportTree { nodes: but_root, ..nodes.clone() })]).await?;
    cx.apply(&repo.did, vec![all[1].clone()]).await?;
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::ImportIncomplete).await?;
    let root = ImportTree { import, nodes: vec![other.data.expect("a root")], records: Vec::new() };
    // In the same mutation it is reached just in time.
    let mut last = finish(&cx, import, &other, repo.head);
    last.ops.insert(0, Op::ImportTree(root));
    cx.db().apply(last).await?;
    state_is(&cx, &other).await
}

/// The new head comes after the old one, and its block says what the mutation says.
pub(crate) async fn import_steps_end_with_a_head_of_their_own(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut other = foreign(&repo, 5, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    let rev = repo.head.expect("a head").rev.as_u64();
    for late in [rev, rev - 1, 0] {
        other.sign(b"late", Tid::from_u64(late));
        cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::RevNotIncreasing).await?;
    }
    other.sign(b"in time", Tid::from_u64(rev + 1));
    let good = finish(&cx, import, &other, repo.head);
    for what in ["root", "rev"] {
        let mut wrong = Mutation { key: cx.key(), ..good.clone() };
        let Op::FinishImport(last) = &mut wrong.ops[0] else { unreachable!("the end of an import") };
        match what {
            "root" => last.data = content("new 1").cid(),
            _ => last.head.rev = Tid::from_u64(rev + 2),
        }
        assert_eq!(cx.refusal(wrong).await?, Reason::CommitMismatch, "another {what}");
    }
    let mut of_bob = SceneRepo { did: did("bob"), ..other.clone() };
    of_bob.sign(b"in time", Tid::from_u64(rev + 1));
    let wrong = Mutation { did: repo.did.clone(), ..finish(&cx, import, &of_bob, repo.head) };
    cx.mutation_refused(wrong, Reason::CommitMismatch).await?;
    cx.db().apply(good).await?;
    Ok(())
}

/// A generation is its account's: nobody else can fill, end or abandon it.
pub(crate) async fn import_steps_are_of_one_account(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    let (of_alice, of_bob) = (begin(&cx, &alice.did).await?, begin(&cx, &bob.did).await?);
    let other = foreign(&bob, 5, "new");
    cx.mutation_refused(bring(&cx, of_alice, &other, other.blocks()), Reason::RepoMissing).await?;
    for step in steps(of_alice, &other, 100) {
        cx.refused(&bob.did, vec![step], Reason::RepoMissing).await?;
    }
    cx.refused(&bob.did, vec![Op::AbandonImport { import: of_alice }], Reason::RepoMissing).await?;
    cx.mutation_refused(finish(&cx, of_alice, &other, bob.head), Reason::RepoMissing).await?;
    fill(&cx, of_bob, &other).await?;
    // The same block in two imports is two blocks.
    let asked = [content("new 1").cid()];
    assert_eq!(cx.db().blocks(&alice.did, &asked, Blocks::Import).await?, [None]);
    assert!(cx.db().blocks(&bob.did, &asked, Blocks::Import).await?[0].is_some());
    Ok(())
}

/// The replaced generation is swept in small steps, between which the new one is read and written.
pub(crate) async fn import_steps_of_the_sweep_leave_the_new_repo(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let many: Vec<Write> =
        (0..60).map(|i| Write::Put(path(&format!("com.example.note/{i:04}")), content(&format!("new {i}")))).collect();
    cx.write(&mut repo, &many).await?;
    let mut other = foreign(&repo, 50, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    cx.pass_window();
    let mut round = 0;
    while !cx.db().sweep(7).await?.done {
        round += 1;
        let text = format!("{round}");
        cx.write(&mut other, &[Write::Put(path("com.example.note/0007"), content(&text))]).await?;
        let listed = cx.db().records(&repo.did, &query("com.example.note", 100)).await?.items;
        assert_eq!((listed.len(), listed[7].bytes.clone()), (50, content(&text).bytes), "after {round} steps");
    }
    assert!(round > 10);
    state_is(&cx, &other).await
}
