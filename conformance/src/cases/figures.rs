//! Figures and verification after each sort of operation, and the store as it was after each reopen.

use super::imports::{begin, finish, foreign, steps};
use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

/// What a repo counts for: records, references, bytes.
fn weight(repo: &SceneRepo) -> (u64, u64, u64) {
    let mut blocks: std::collections::BTreeMap<Cid, u64> =
        repo.blocks().iter().map(|block| (block.cid(), block.bytes().len() as u64)).collect();
    blocks.insert(repo.commit_block().cid(), repo.commit.len() as u64);
    let refs = repo.recount();
    let bytes = refs.iter().map(|(cid, refs)| refs * blocks[cid]).sum();
    (repo.records.len() as u64, refs.values().sum(), bytes)
}

/// The figures of the store are those of these repos, and it finds itself sound.
async fn stands_at(cx: &Context, accounts: u64, repos: &[&SceneRepo], what: &str) -> Outcome {
    let stats = cx.db().stats().await?;
    let mut expected = (0, 0, 0);
    for repo in repos {
        let (records, refs, bytes) = weight(repo);
        expected = (expected.0 + records, expected.1 + refs, expected.2 + bytes);
    }
    assert_eq!((stats.accounts, stats.repos), (accounts, repos.len() as u64), "{what}");
    assert_eq!((stats.records, stats.refs, stats.bytes), expected, "{what}");
    assert_eq!((stats.pos, stats.head), (cx.db().position().await?, cx.db().event_window().await?.head), "{what}");
    let report = cx.db().verify(VerifyLevel::Deep).await?;
    assert_eq!(report.problems, Vec::<String>::new(), "{what}");
    Ok(())
}

pub(crate) async fn figures_after_commits_of_every_sort(cx: Arc<Context>) -> Outcome {
    stands_at(&cx, 0, &[], "an empty store").await?;
    let mut repo = SceneRepo::new(cx.account("alice").await?);
    stands_at(&cx, 1, &[], "an account without a repo").await?;
    let same = |i: u32| Write::Put(path(&format!("com.example.copy/{i}")), content("same"));
    for (what, writes) in [
        ("an empty repo", vec![]),
        ("creations", (0..30).map(|i| put(&format!("{i:02}"), &format!("{i}"))).collect()),
        ("an update to something longer", vec![put("03", &"long".repeat(500))]),
        ("the same content twice", vec![same(1), same(2)]),
        ("one of the two deleted", vec![Write::Delete(path("com.example.copy/1"))]),
        ("an update to what it was", vec![same(2)]),
        ("a commit without a change", vec![]),
        ("a deletion and a creation", vec![Write::Delete(path("com.example.note/07")), put("77", "7")]),
        ("all deleted", Vec::new()),
    ] {
        let writes = match what {
            "all deleted" => repo.records.keys().cloned().map(Write::Delete).collect(),
            _ => writes,
        };
        cx.write(&mut repo, &writes).await?;
        stands_at(&cx, 1, &[&repo], what).await?;
    }
    Ok(())
}

pub(crate) async fn figures_after_accounts_come_change_and_go(cx: Arc<Context>) -> Outcome {
    let (mut alice, bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    cx.write(&mut alice, &[put("1", "x"), put("2", "y")]).await?;
    stands_at(&cx, 2, &[&alice, &bob], "two of them").await?;
    cx.apply(&alice.did, vec![Op::SetStatus(AccountStatus::Takendown)]).await?;
    stands_at(&cx, 2, &[&alice, &bob], "one is taken down: it is still kept").await?;
    cx.apply(&alice.did, vec![Op::SetStatus(AccountStatus::Active), Op::Purge]).await?;
    stands_at(&cx, 2, &[&alice, &bob], "a purge").await?;
    cx.sweep().await?;
    stands_at(&cx, 2, &[&alice, &bob], "and its sweep").await?;
    cx.apply(&alice.did, vec![Op::DeleteAccount]).await?;
    stands_at(&cx, 1, &[&bob], "a deletion").await?;
    let again = cx.repo("alice").await?;
    stands_at(&cx, 2, &[&again, &bob], "registered again").await?;
    cx.pass_window();
    cx.sweep().await?;
    stands_at(&cx, 2, &[&again, &bob], "the first life swept").await?;
    cx.reopen().await;
    stands_at(&cx, 2, &[&again, &bob], "a reopen").await
}

pub(crate) async fn figures_after_each_step_of_an_import(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "old")]).await?;
    let other = foreign(&repo, 20, "new");
    for ending in ["superseded", "abandoned", "finished"] {
        let import = begin(&cx, &repo.did).await?;
        stands_at(&cx, 1, &[&repo], "begun").await?;
        for some in other.blocks().chunks(11) {
            cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec())).await?;
            stands_at(&cx, 1, &[&repo], "blocks").await?;
        }
        for step in steps(import, &other, 11) {
            cx.apply(&repo.did, vec![step]).await?;
            stands_at(&cx, 1, &[&repo], "a step of the tree").await?;
        }
        match ending {
            "superseded" => {}
            "abandoned" => {
                cx.apply(&repo.did, vec![Op::AbandonImport { import }]).await?;
                stands_at(&cx, 1, &[&repo], "abandoned").await?;
            }
            _ => {
                cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
                stands_at(&cx, 1, &[&other], "finished").await?;
            }
        }
    }
    cx.pass_window();
    cx.sweep().await?;
    stands_at(&cx, 1, &[&other], "swept").await
}

/// Blobs, rows, events and refusals weigh nothing.
pub(crate) async fn figures_count_repos_only(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 1 << 40 }]).await?;
    stands_at(&cx, 1, &[&repo], "a blob").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("x").with_blob(blob_cid("b")))]).await?;
    stands_at(&cx, 1, &[&repo], "a record that refers to it").await?;
    cx.refused(&repo.did, vec![Op::DeleteBlob(blob_cid("b"))], Reason::BlobInUse).await?;
    cx.apply(&repo.did, vec![put_row(Row { body: vec![1; 100_000], ..row("k", "") }), Op::Emit(Announce::Account)])
        .await?;
    stands_at(&cx, 1, &[&repo], "a row and an event").await?;
    cx.apply(&did("nobody"), vec![Op::TakeRow(row_key("k"))]).await?;
    stands_at(&cx, 1, &[&repo], "of a DID without an account").await?;
    let mut dangling = repo.draft(&[put("2", "y")]).quiet().mutation(cx.key());
    dangling.blocks.truncate(1);
    cx.mutation_refused(dangling, Reason::BlockMissing).await?;
    stands_at(&cx, 1, &[&repo], "a refusal").await
}

/// Verification says how much it looked at: all repos, and no less than there is.
pub(crate) async fn figures_of_a_verification_are_of_all_there_is(cx: Arc<Context>) -> Outcome {
    for i in 0..5 {
        let mut repo = cx.repo(&format!("u{i}")).await?;
        let writes: Vec<Write> = (0..10).map(|j| put(&format!("{j}"), &format!("{i} {j}"))).collect();
        cx.write(&mut repo, &writes).await?;
    }
    let bytes = cx.db().stats().await?.bytes;
    let report = cx.db().verify(VerifyLevel::Deep).await?;
    assert_eq!(report.repos, 5);
    assert!(report.records >= 50 && report.blocks >= 60 && report.events >= 10, "{report:?}");
    assert!(report.bytes >= bytes, "{} bytes were hashed of {bytes}", report.bytes);
    assert_eq!(cx.db().verify(VerifyLevel::Quick).await?.repos, 5);
    Ok(())
}

/// One of every operation, and the store closed and opened after each: it is the same store every time.
pub(crate) async fn figures_are_the_same_after_each_reopen(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(did("alice"));
    let blob = |name: &str| Op::PutBlob { cid: blob_cid(name), mime: "a/b".into(), bytes: 1 };
    let patch = AccountPatch { handle: Some(None), password_hash: Some(None), ..AccountPatch::default() };
    let full = Row {
        owner: Some(repo.did.clone()),
        unique: vec![b"u".to_vec(), Vec::new()],
        lookup: vec![b"l".to_vec()],
        expires_at: Some(Micros(START.0 + 10_000)),
        ..row("k", "v")
    };
    let noted = content("x").with_blob(blob_cid("used")).with_link(link("f", "t"));
    let commit = |repo: &mut SceneRepo, writes: &[Write]| {
        let draft = repo.draft(writes);
        *repo = draft.after.clone();
        (vec![draft.op()], draft.blocks)
    };
    let mut script: Vec<(Vec<Op>, Vec<Block>)> = vec![(vec![create_account("alice")], Vec::new())];
    script.push(commit(&mut repo, &[]));
    script.push((vec![blob("used"), blob("unused")], Vec::new()));
    script.push(commit(&mut repo, &[Write::Put(path("com.example.note/1"), noted), put("2", "y")]));
    script.push((vec![put_row(full.clone())], Vec::new()));
    script.push((vec![Op::UpdateAccount(patch)], Vec::new()));
    script.push(commit(&mut repo, &[Write::Delete(path("com.example.note/1"))]));
    script.push((vec![Op::Emit(Announce::Sync)], vec![repo.commit_block()]));
    script.push((vec![Op::Purge], Vec::new()));
    script.push((vec![Op::TakeRow(full.key)], Vec::new()));
    script.push((vec![Op::DeleteBlob(blob_cid("unused"))], Vec::new()));
    script.push((vec![Op::BeginImport], Vec::new()));
    script.push((vec![Op::BeginImport, Op::SetStatus(AccountStatus::Throttled)], Vec::new()));
    script.push((vec![Op::DeleteAccount, Op::Emit(Announce::Account)], Vec::new()));
    script.push((vec![put_row(row("k", "of nobody"))], Vec::new()));
    for (i, (ops, blocks)) in script.into_iter().enumerate() {
        cx.advance(100);
        cx.db().apply(cx.mutation(&did("alice"), ops, blocks)).await?;
        let (before, window) = (cx.snapshot().await?, cx.db().event_window().await?);
        let changes = cx.db().changes(Pos(0), 100, usize::MAX).await?;
        cx.reopen().await;
        assert_eq!(digest::difference(&before, &cx.snapshot().await?), None, "after step {i}");
        assert_eq!(cx.db().event_window().await?, window, "after step {i}");
        assert_eq!(cx.db().changes(Pos(0), 100, usize::MAX).await?, changes, "after step {i}");
        if i % 4 == 3 {
            cx.sweep().await?;
        }
    }
    Ok(())
}

/// Mutations are on their way when the store is closed: each is there whole if it was acknowledged, and absent if it was
/// refused as too late.
pub(crate) async fn figures_of_what_was_on_its_way_at_the_end(cx: Arc<Context>) -> Outcome {
    let mut sent = 0;
    for round in 0..5 {
        let calls: Vec<_> = (0..40)
            .map(|i| {
                let word = format!("{round} {i}");
                let ops = vec![put_row(row(&format!("a{word}"), "x")), put_row(row(&format!("b{word}"), "x"))];
                let (db, mutation) = (cx.db(), cx.mutation(&did(&format!("u{i}")), ops, Vec::new()));
                (word, tokio::spawn(async move { db.apply(mutation).await }))
            })
            .collect();
        cx.db().close().await?;
        let mut answers = Vec::new();
        for (word, call) in calls {
            answers.push((word, call.await.expect("no call panics")));
        }
        cx.reopen().await;
        for (word, taken) in answers {
            if let Err(e) = &taken {
                assert_eq!(e.reason(), Reason::Closed, "{e}");
            }
            sent += u64::from(taken.is_ok());
            for half in ["a", "b"] {
                let there = cx.db().row(&row_key(&format!("{half}{word}"))).await?.is_some();
                assert_eq!(there, taken.is_ok(), "{half}{word}");
            }
        }
        assert_eq!(cx.db().position().await?, Pos(sent), "positions have no gap");
    }
    Ok(())
}
