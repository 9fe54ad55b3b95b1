//! Imports: a new generation, filled in steps.

use std::collections::BTreeMap;

use super::prelude::*;

fn note(i: usize, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{i}")), content(text))
}

/// A repository of somebody else's making, to be imported over `repo`.
pub(crate) fn foreign(repo: &SceneRepo, notes: usize, text: &str) -> SceneRepo {
    let mut other = SceneRepo { head: None, data: None, ..repo.clone() };
    other.records.clear();
    for i in 0..notes {
        other.records.insert(path(&format!("com.example.note/{i:04}")), content(&format!("{text} {i}")));
    }
    let rev = repo.head.map_or(1, |head| head.rev.as_u64() + (1 << 20));
    other.sign(b"imported", Tid::from_u64(rev));
    other
}

pub(crate) async fn begin(cx: &Context, did: &Did) -> Result<RepoId> {
    Ok(RepoId(cx.apply(did, vec![Op::BeginImport]).await?.pos.0))
}

/// The tree's nodes and records as steps of `size`.
pub(crate) fn steps(import: RepoId, repo: &SceneRepo, size: usize) -> Vec<Op> {
    let nodes: Vec<Cid> = repo.nodes.iter().map(|(cid, _)| *cid).collect();
    let create = |(path, content): (&RecordPath, &Content)| RecordOp {
        path: path.clone(),
        old: None,
        new: Some(content.cid()),
        blobs: content.blobs.clone(),
        links: content.links.clone(),
    };
    let records: Vec<RecordOp> = repo.records.iter().map(create).collect();
    let step = |nodes, records| Op::ImportTree(ImportTree { import, nodes, records });
    let mut ops: Vec<Op> = nodes.chunks(size).map(|some| step(some.to_vec(), Vec::new())).collect();
    ops.extend(records.chunks(size).map(|some| step(Vec::new(), some.to_vec())));
    ops
}

/// Brings all blocks, then all of the tree, in steps of 7.
pub(crate) async fn fill(cx: &Context, import: RepoId, repo: &SceneRepo) -> Outcome {
    for some in repo.blocks().chunks(7) {
        let mutation = cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec());
        cx.db().apply(mutation).await?;
    }
    for step in steps(import, repo, 7) {
        cx.apply(&repo.did, vec![step]).await?;
    }
    Ok(())
}

pub(crate) fn finish(cx: &Context, import: RepoId, repo: &SceneRepo, expected: Option<Head>) -> Mutation {
    let finish = FinishImport {
        import,
        expected,
        head: repo.head.expect("a head"),
        data: repo.data.expect("a root"),
        records: repo.records.len() as u64,
    };
    cx.mutation(&repo.did, vec![Op::FinishImport(Box::new(finish))], vec![repo.commit_block()])
}

pub(crate) async fn state_is(cx: &Context, repo: &SceneRepo) -> Outcome {
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((Some(state.head), Some(state.data)), (repo.head, repo.data));
    assert_eq!(state.counters.records, repo.records.len() as u64);
    assert_eq!(state.counters.refs, repo.recount().values().sum::<u64>());
    for (path, content) in &repo.records {
        let record = cx.db().record(&repo.did, path).await?;
        assert_eq!(record.map(|record| record.bytes).as_ref(), Some(&content.bytes), "{path}");
    }
    let listed = cx.db().records(&repo.did, &super::repos::query("com.example.note", 10_000)).await?;
    assert_eq!(listed.items.len(), repo.records.len());
    Ok(())
}

pub(crate) async fn imports_fill_an_empty_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let other = foreign(&SceneRepo::new(alice.clone()), 50, "imported");
    let import = begin(&cx, &alice).await?;
    let account = cx.db().account(&AccountName::Did(alice.clone())).await?.expect("an account");
    assert_eq!((account.repo, account.import), (None, Some(import)));
    fill(&cx, import, &other).await?;
    assert_eq!(cx.db().repo(&alice, At::Head).await?, None, "invisible until it is finished");
    let receipt = cx.db().apply(finish(&cx, import, &other, None)).await?;
    assert_eq!(receipt.events, 0, "an import announces nothing by itself");
    state_is(&cx, &other).await?;
    let account = cx.db().account(&AccountName::Did(alice.clone())).await?.expect("an account");
    assert_eq!((account.repo, account.import), (Some(import), None));
    cx.reopen().await;
    state_is(&cx, &other).await?;
    // And goes on from there.
    let mut repo = other;
    cx.write(&mut repo, &[note(1, "written here")]).await?;
    state_is(&cx, &repo).await
}

pub(crate) async fn imports_are_invisible_until_finished(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[note(1, "old")]).await?;
    let other = foreign(&repo, 20, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    state_is(&cx, &repo).await?;
    let record = content("new 3").cid();
    for which in [Blocks::Live, Blocks::History] {
        assert_eq!(cx.db().blocks(&repo.did, &[record], which).await?, [None], "{which:?}");
    }
    assert_eq!(cx.db().blocks(&repo.did, &[record], Blocks::Import).await?, [Some(content("new 3").bytes)]);
    let refs = cx.db().block_refs(&repo.did, &[record], Blocks::Import).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(1));
    // The old one goes on being written meanwhile.
    cx.write(&mut repo, &[note(2, "meanwhile")]).await?;
    cx.mutation_refused(finish(&cx, import, &other, None), Reason::HeadMismatch).await?;
    let mut other = other;
    other.sign(b"imported later", Tid::from_u64(repo.head.expect("a head").rev.as_u64() + (1 << 30)));
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    state_is(&cx, &other).await?;
    assert_eq!(cx.db().blocks(&repo.did, &[record], Blocks::Import).await?, [None], "it is none any more");
    assert_eq!(cx.db().block_refs(&repo.did, &[record], Blocks::Import).await?, [None]);
    assert_eq!(
        cx.db().record(&repo.did, &path("com.example.note/1")).await?,
        None,
        "the old generation is gone at once"
    );
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), 1);
    Ok(())
}

pub(crate) async fn imports_replaced_generation_is_swept(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[note(1, "old"), note(2, "both 0")]).await?;
    let other = foreign(&repo, 3, "both");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    let old_blocks = |items: &[SnapshotItem]| {
        items.iter().filter(|item| matches!(item, SnapshotItem::Block { repo, .. } if *repo != import)).count()
    };
    let before = old_blocks(&cx.snapshot().await?);
    assert!(before > 0);
    cx.advance(cx.options().history_window_micros - 1);
    cx.sweep().await?;
    assert!(old_blocks(&cx.snapshot().await?) > 0, "within the window");
    cx.advance(1);
    cx.sweep().await?;
    let left = cx.snapshot().await?;
    assert_eq!(old_blocks(&left), 0);
    assert_eq!(left.iter().filter(|item| matches!(item, SnapshotItem::Repo(_))).count(), 1);
    assert!(!left.iter().any(|item| matches!(item, SnapshotItem::Sweep(..))));
    state_is(&cx, &other).await
}

/// A file with blocks that its tree does not need: leftovers of an older commit, a whole other tree.
pub(crate) async fn imports_leave_what_the_tree_reaches(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 20, "new");
    let import = begin(&cx, &repo.did).await?;
    let unneeded = foreign(&repo, 30, "unneeded");
    for some in unneeded.blocks().chunks(7) {
        cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec())).await?;
    }
    fill(&cx, import, &other).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    state_is(&cx, &other).await?;
    let strange = content("unneeded 1").cid();
    assert_eq!(cx.db().blocks(&repo.did, &[strange], Blocks::Live).await?, [None], "not part of the repo");
    // At once: it never was history.
    cx.sweep().await?;
    let mut left: BTreeMap<Cid, u64> = BTreeMap::new();
    let mut bytes_left = 0;
    for item in cx.snapshot().await? {
        match item {
            SnapshotItem::Block { repo, cid, refs, bytes, .. } if repo == import => {
                bytes_left += refs * bytes.len() as u64;
                left.insert(cid, refs);
            }
            SnapshotItem::Sweep(sweep, _) => assert_ne!(sweep, Sweep::Repo(import)),
            _ => {}
        }
    }
    assert_eq!(left, other.recount(), "exactly what the tree reaches, each as often as it does");
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((state.counters.refs, state.counters.bytes), (left.values().sum(), bytes_left));
    let report = cx.db().verify(VerifyLevel::Deep).await?;
    assert_eq!(report.problems, Vec::<String>::new());
    state_is(&cx, &other).await
}

pub(crate) async fn imports_abandoned_are_swept(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let import = begin(&cx, &repo.did).await?;
    let other = foreign(&repo, 10, "never");
    fill(&cx, import, &other).await?;
    cx.apply(&repo.did, vec![Op::AbandonImport { import }]).await?;
    cx.refused(&repo.did, vec![Op::AbandonImport { import }], Reason::RepoMissing).await?;
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::RepoMissing).await?;
    assert_eq!(cx.db().blocks(&repo.did, &[content("never 1").cid()], Blocks::Import).await?, [None]);
    cx.pass_window();
    cx.sweep().await?;
    let of_import = |item: &SnapshotItem| match item {
        SnapshotItem::Block { repo, .. } | SnapshotItem::Record(repo, ..) => *repo == import,
        SnapshotItem::Repo(repo) => repo.id == import,
        _ => false,
    };
    assert!(!cx.snapshot().await?.iter().any(of_import));
    state_is(&cx, &repo).await
}

pub(crate) async fn imports_begun_again_supersede(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let first = begin(&cx, &repo.did).await?;
    let other = foreign(&repo, 10, "once");
    fill(&cx, first, &other).await?;
    let second = begin(&cx, &repo.did).await?;
    assert_ne!(first, second);
    for op in [Op::ImportBlocks { import: first }, Op::AbandonImport { import: first }] {
        cx.refused(&repo.did, vec![op], Reason::RepoMissing).await?;
    }
    let again = foreign(&repo, 5, "twice");
    cx.mutation_refused(finish(&cx, second, &again, repo.head), Reason::ImportIncomplete).await?;
    fill(&cx, second, &again).await?;
    cx.db().apply(finish(&cx, second, &again, repo.head)).await?;
    cx.pass_window();
    cx.sweep().await?;
    state_is(&cx, &again).await?;
    let generations = cx.snapshot().await?.into_iter().filter(|item| matches!(item, SnapshotItem::Repo(_))).count();
    assert_eq!(generations, 1, "the superseded import and the replaced repo are swept");
    Ok(())
}

pub(crate) async fn imports_incomplete_are_refused(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 20, "new");
    let import = begin(&cx, &repo.did).await?;
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::ImportIncomplete).await?;
    let blocks = other.blocks();
    cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], blocks)).await?;
    let mut all = steps(import, &other, 1);
    let last = all.pop().expect("steps");
    for step in all {
        cx.apply(&repo.did, vec![step]).await?;
    }
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::ImportIncomplete).await?;
    // Blocks that are there but were not reached are no root.
    let mut elsewhere = foreign(&repo, 20, "new");
    elsewhere.sign(b"x", Tid::from_u64(u64::MAX));
    cx.apply(&repo.did, vec![last]).await?;
    let mut wrong = foreign(&repo, 20, "other");
    wrong.sign(b"x", Tid::from_u64(u64::MAX));
    cx.mutation_refused(finish(&cx, import, &wrong, repo.head), Reason::ImportIncomplete).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    state_is(&cx, &other).await
}

pub(crate) async fn imports_need_their_blocks(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 3, "new");
    let import = begin(&cx, &repo.did).await?;
    for step in steps(import, &other, 1) {
        cx.refused(&repo.did, vec![step], Reason::BlockMissing).await?;
    }
    // A block of the served repo is not one of the import.
    let root = ImportTree { import, nodes: vec![repo.data.expect("a root")], records: Vec::new() };
    cx.refused(&repo.did, vec![Op::ImportTree(root)], Reason::BlockMissing).await?;
    let mut unsigned = finish(&cx, import, &other, repo.head);
    unsigned.blocks.clear();
    cx.mutation_refused(unsigned, Reason::BlockMissing).await?;
    Ok(())
}

pub(crate) async fn imports_in_one_mutation_after_the_first(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 5, "new");
    let import = begin(&cx, &repo.did).await?;
    let mut all = finish(&cx, import, &other, repo.head);
    let finish = all.ops.remove(0);
    let tree = steps(import, &other, 1_000);
    let [Op::ImportTree(nodes), Op::ImportTree(records)] = tree.as_slice() else { unreachable!("two steps") };
    let whole = ImportTree { records: records.records.clone(), ..nodes.clone() };
    all.ops = vec![Op::ImportBlocks { import }, Op::ImportTree(whole), finish];
    all.blocks.extend(other.blocks());
    cx.db().apply(all).await?;
    state_is(&cx, &other).await
}

pub(crate) async fn imports_name_each_path_once(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 1, "new");
    let import = begin(&cx, &repo.did).await?;
    cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], other.blocks())).await?;
    let all = steps(import, &other, 10);
    let Op::ImportTree(records) = &all[1] else { unreachable!("a step of records") };
    let twice = ImportTree { records: [records.records.clone(), records.records.clone()].concat(), ..records.clone() };
    cx.refused(&repo.did, vec![Op::ImportTree(twice)], Reason::BadRequest).await?;
    cx.apply(&repo.did, vec![all[1].clone()]).await?;
    cx.refused(&repo.did, vec![all[1].clone()], Reason::RecordMismatch).await?;
    Ok(())
}

pub(crate) async fn imports_deleted_with_their_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let import = begin(&cx, &alice).await?;
    fill(&cx, import, &foreign(&SceneRepo::new(alice.clone()), 10, "new")).await?;
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    cx.refused(&alice, vec![Op::ImportBlocks { import }], Reason::AccountMissing).await?;
    cx.account("alice").await?;
    cx.refused(&alice, vec![Op::ImportBlocks { import }], Reason::RepoMissing).await?;
    cx.pass_window();
    cx.sweep().await?;
    assert!(
        !cx.snapshot().await?.iter().any(|item| matches!(item, SnapshotItem::Block { .. } | SnapshotItem::Repo(_)))
    );
    Ok(())
}

pub(crate) async fn imports_need_a_live_account(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = foreign(&repo, 2, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    cx.apply(&repo.did, vec![Op::SetStatus(AccountStatus::Takendown)]).await?;
    cx.refused(&repo.did, vec![Op::BeginImport], Reason::AccountInactive).await?;
    cx.mutation_refused(finish(&cx, import, &other, repo.head), Reason::AccountInactive).await?;
    cx.apply(&repo.did, vec![Op::SetStatus(AccountStatus::Deactivated)]).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    Ok(())
}

/// A deactivated account that moves in: the same content twice, then announced with `#sync`.
pub(crate) async fn imports_are_announced_by_sync(cx: Arc<Context>) -> Outcome {
    let repo = SceneRepo::new(did("alice"));
    let new = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Deactivated };
    cx.apply(&repo.did, vec![Op::CreateAccount(new)]).await?;
    let mut other = foreign(&repo, 4, "new");
    other.records.insert(path("com.example.copy/1"), content("new 1"));
    other.sign(b"imported", Tid::from_u64(7));
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    let mut last = finish(&cx, import, &other, None);
    last.ops.extend([Op::SetStatus(AccountStatus::Active), Op::Emit(Announce::Account), Op::Emit(Announce::Sync)]);
    let receipt = cx.db().apply(last).await?;
    assert_eq!(receipt.events, 2);
    let refs = cx.db().block_refs(&repo.did, &[content("new 1").cid()], Blocks::Live).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(2));
    Ok(())
}

pub(crate) async fn imports_bound_their_records(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let import = begin(&cx, &repo.did).await?;
    let big = content_of_bytes(limits::RECORD_BYTES_MAX + 1);
    cx.db()
        .apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], vec![Block::new(big.bytes.clone())]))
        .await?;
    let new = Some(big.cid());
    let record = RecordOp { path: path("com.example.note/1"), old: None, new, blobs: Vec::new(), links: Vec::new() };
    let step = Op::ImportTree(ImportTree { import, nodes: Vec::new(), records: vec![record] });
    cx.refused(&repo.did, vec![step], Reason::TooLarge).await?;
    Ok(())
}
